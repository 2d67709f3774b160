// slipway serve as an operator starts it: what is wrong is one sentence that says what and what to do, nothing is started
// or written; what is right serves, says where, and ends in order.

import { execFileSync, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import t, { type Test } from 'tap'
import { needs } from '../helpers/require.ts'
import { freePorts } from '../lab/ports.ts'

t.setTimeout(120_000)

const main = join(import.meta.dirname, '..', '..', 'server', 'main.ts')

interface Ended {
  code: number | null
  out: string
  error: string
}

function folderOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-serve-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function configOf(folder: string, changes: Record<string, unknown> = {}): Promise<string> {
  const ports = await freePorts()
  const file = join(folder, 'slipway.yaml')
  const config = {
    data: join(folder, 'data'),
    interfaces: ['lo'],
    dhcp: {
      mode: 'authoritative',
      ports: { server: ports.dhcpServer, client: ports.dhcpClient, proxy: ports.dhcpProxy },
      subnets: [{ subnet: '127.0.0.0/8', pool: '127.78.0.10-127.78.0.20', lease: '1h' }]
    },
    tftp: { port: ports.tftp },
    boot: { port: ports.boot },
    control: { port: ports.control },
    ...changes
  }
  writeFileSync(file, JSON.stringify(config)) // JSON is YAML
  return file
}

function start(file: string, ...prefix: string[]) {
  const [program, ...rest] = [...prefix, process.execPath, main, 'serve', '--config', file]
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
  const ended: Ended = { code: null, out: '', error: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (ended.out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (ended.error += text))
  const done = once(child, 'close').then(([code]) => ({ ...ended, code: code as number | null }))
  return { child, ended, done }
}

t.test('a wrong slipway.yaml: every problem with its path, status 2, nothing started or written', async t => {
  const folder = folderOf(t)
  const file = await configOf(folder, {
    interfaces: 'lo',
    tftp: { port: 99999 },
    colour: 'red',
    dhcp: { mode: 'authoritative', subnets: [{ subnet: '10.0.0.0/24', pool: '10.0.1.10-10.0.1.20', lease: 'soon' }] }
  })
  const { code, error } = await start(file).done
  t.equal(code, 2, error)
  for (const path of ['interfaces', 'tftp.port', 'colour', 'dhcp.subnets[0]']) t.match(error, path)
  t.notOk(existsSync(join(folder, 'data')))
})

t.test('no slipway.yaml at all', async t => {
  const { code, error } = await start(join(folderOf(t), 'slipway.yaml')).done
  t.equal(code, 2)
  t.match(error, /there is no .*slipway init writes one/)
})

// A row reads: what holds the port, the key of the port, and what the sentence must name.
const taken: Array<[key: string, protocol: 'udp' | 'tcp', path: [string, string?]]> = [
  ['DHCP', 'udp', ['dhcp']],
  ['TFTP', 'udp', ['tftp']],
  ['boot.port', 'tcp', ['boot']],
  ['control.port', 'tcp', ['control']]
]
for (const [key, protocol] of taken) {
  t.test(`a taken port (${key})`, async t => {
    const folder = folderOf(t)
    const file = await configOf(folder)
    const config = JSON.parse(readFileSync(file, 'utf8'))
    const port: number =
      { DHCP: config.dhcp.ports.server, TFTP: config.tftp.port, 'boot.port': config.boot.port }[key] ??
      config.control.port
    await hold(t, protocol, port)
    const { code, error } = await start(file).done
    t.equal(code, 1, error)
    t.match(error, new RegExp(`^slipway: .*port ${port}.* is taken: .*`))
    t.equal(error.trim().split('\n').length, 1, 'one sentence')
    t.notOk(existsSync(join(folder, 'data', 'run.json')))
  })
}

async function hold(t: Test, protocol: 'udp' | 'tcp', port: number): Promise<void> {
  if (protocol === 'udp') {
    const socket = createSocket('udp4').bind(port, '127.0.0.1')
    await once(socket, 'listening')
    t.teardown(() => socket.close())
    return
  }
  const server: Server = createServer().listen(port, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
}

t.test('a data folder that cannot be', async t => {
  const folder = folderOf(t)
  writeFileSync(join(folder, 'file'), '')
  const { code, error } = await start(await configOf(folder, { data: join(folder, 'file', 'data') })).done
  t.equal(code, 1)
  t.match(
    error,
    /^slipway: the data folder .* cannot be written \(ENOTDIR\): give this user that folder, or set data\n$/
  )
})

t.test('a broken database file', async t => {
  const folder = folderOf(t)
  mkdirSync(join(folder, 'data'))
  writeFileSync(join(folder, 'data', 'slipway.db'), Buffer.alloc(8192, 'x'))
  const { code, error } = await start(await configOf(folder)).done
  t.equal(code, 1)
  t.match(error, /^slipway: .*slipway\.db is not a sound SQLite database; move it away and restore a backup\n$/)
  t.equal(readFileSync(join(folder, 'data', 'slipway.db')).length, 8192, 'it is left as it was')
})

t.test('a full disk', needs({ root: true, programs: ['unshare', 'mount'] }), async t => {
  const folder = folderOf(t)
  const full = join(folder, 'full')
  mkdirSync(full)
  const file = await configOf(folder, { data: join(full, 'data') })
  const script = `mount -t tmpfs -o size=64k tmpfs ${full} && exec "$@"`
  const { code, error } = await start(file, 'unshare', '-m', 'sh', '-c', script, 'sh').done
  t.equal(code, 1, error)
  t.match(error, /^slipway: .*(disk that holds .* is full|the disk is full)[^\n]*\n$/)
})

t.test('an interface that is not there', async t => {
  const folder = folderOf(t)
  const { code, error } = await start(await configOf(folder, { interfaces: ['eth77'] })).done
  t.equal(code, 1)
  t.match(error, /^slipway: no interface eth77/)
  t.notOk(existsSync(join(folder, 'data')), 'nothing is written')
})

t.test('it serves, keeps its secrets to itself, and ends in order', async t => {
  const folder = folderOf(t)
  const file = await configOf(folder)
  const { child, ended, done } = start(file)
  t.teardown(() => child.kill('SIGKILL'))
  while (!ended.out.includes('server.started') && child.exitCode === null) await once(child.stdout, 'data')
  const run = JSON.parse(readFileSync(join(folder, 'data', 'run.json'), 'utf8'))
  t.equal((await fetch(`${run.boot}/healthz`)).status, 200)
  t.equal(statSync(join(folder, 'data')).mode & 0o777, 0o700)
  for (const secret of ['admin.token', 'ca/ca.key', 'slipway.db']) {
    t.equal(statSync(join(folder, 'data', secret)).mode & 0o777, 0o600, secret)
  }
  const list = execFileSync(process.execPath, [main, 'get', 'machines', '-o', 'json'], {
    cwd: folder,
    encoding: 'utf8'
  })
  t.same(JSON.parse(list), [], 'the command line finds it by slipway.yaml')
  const token = readFileSync(join(folder, 'data', 'admin.token'), 'utf8').trim()
  child.kill('SIGTERM')
  const { code, out, error } = await done
  t.equal(code, 0, error)
  t.notMatch(out, token)
  t.notMatch(error, token)
  t.notOk(existsSync(join(folder, 'data', 'run.json')))
})
