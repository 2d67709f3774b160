// The server that gives up root: who it is afterwards, that it serves as before, and what stops its start. Sockets over
// TCP from the service manager, and the units that ship.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { execa } from 'execa'
import t, { type Test } from 'tap'
import { needs } from '../helpers/require.ts'
import { createWires, plug, seen } from '../helpers/wires.ts'

t.setTimeout(240_000)

const main = join(import.meta.dirname, '..', '..', 'server', 'main.ts')
const units = join(import.meta.dirname, '..', '..', 'server', 'systemd')
const nobody = 65_534
/** The tests' runner would have each child write a file of its own at its end, where that user may not. */
const alone = ['-u', 'NODE_OPTIONS']
/** As a recent iPXE asks: user class, architecture, features HTTP and HTTPS. */
const ipxe = ['-V', 'PXEClient', '-x', '0x4d:69505845', '-x', '0x5d:0000', '-x', '0xaf:130101140101']

t.test(
  'a whole boot by a server that was root',
  needs({ root: true, programs: ['ip', 'busybox', 'tcpdump', 'id'] }),
  async t => {
    const wires = await createWires(t, 'privileges')
    const { wire, folder, run, lease } = wires
    chmodSync(folder, 0o711)
    const file = join(folder, 'slipway.yaml')
    const data = join(folder, 'var/slipway')
    const subnets = [{ subnet: '10.77.0.0/24', pool: '10.77.0.100-10.77.0.109' }]
    const config = { data, user: 'nobody', interfaces: ['br0'], dhcp: { mode: 'authoritative', subnets } }
    writeFileSync(file, JSON.stringify({ ...config, boot: { port: 80, tls: { port: 444 } }, control: { port: 443 } }))
    const server = wire.start('serve', 'env', [...alone, process.execPath, main, 'serve', '--config', file], {
      log: join(folder, 'serve.log')
    })
    await seen(server, 'server.started')
    const pid = (JSON.parse(readFileSync(join(data, 'run.json'), 'utf8')) as { pid: number }).pid

    const threads = readdirSync(`/proc/${pid}/task`)
    t.ok(threads.length > 4)
    for (const thread of threads) {
      const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8')
      const line = (key: string) => new RegExp(`^${key}:\\s*(.*?)\\s*$`, 'm').exec(status)![1]!.split(/\s+/)
      t.same([...new Set([...line('Uid'), ...line('Gid'), ...line('Groups')])], [String(nobody)], thread)
      for (const key of ['CapEff', 'CapPrm', 'CapAmb', 'CapInh']) t.same(line(key), ['0000000000000000'], key)
    }
    const own = globSync('**', { cwd: data, withFileTypes: true }).map(entry => join(entry.parentPath, entry.name))
    t.ok(own.length > 6)
    t.same(
      own.filter(path => statSync(path).uid !== nobody),
      [],
      'every file is that user’s'
    )

    await plug(wires, 'a', 'br0')
    const heard = wire.run('tcpdump', ['-i', 'a0', '-n', '-c', '1', 'icmp6 and ip6[40] == 134'], { timeoutMs: 30_000 })
    t.match(await lease('a0', ...ipxe), 'boot_file=http://10.77.0.1:80/boot/ipxe')
    t.match((await heard).stdout, /router advertisement/, 'the raw socket was opened before')
    writeFileSync(join(folder, 'snponly.efi'), 'a boot program')
    const imported = await run(
      process.execPath,
      main,
      'assets',
      'import',
      join(folder, 'snponly.efi'),
      '--config',
      file
    )
    t.match(imported, /boot\/snponly\.efi imported/)
    t.equal(statSync(join(data, 'boot/snponly.efi')).uid, nobody)
    await run('busybox', 'tftp', '-g', '-r', 'snponly.efi', '-l', join(folder, 'got'), '10.77.0.1')
    t.equal(readFileSync(join(folder, 'got'), 'utf8'), 'a boot program')
    const fetched = `for (const path of ['assets/boot/snponly.efi', 'boot/ipxe?mac=52-54-00-00-00-01&ip=10.77.0.100'])
      process.stdout.write(await (await fetch('http://10.77.0.1/' + path)).text())`
    t.match(await run(process.execPath, '--input-type=module', '-e', fetched), /^a boot program#!ipxe/)
    t.match(await lease('a0', ...ipxe), 'ip=10.77.0.100')
    await server.stop()
    t.notMatch(readFileSync(join(folder, 'serve.log'), 'utf8'), /"level":(40|50)/, 'no warning, no error')
    t.notOk(readdirSync(data).includes('run.json'), 'it could clean up')
  }
)

function place(t: Test) {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-privileges-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  chmodSync(folder, 0o711)
  const data = join(folder, 'data')
  const config = (more: object = {}): string => {
    const ports = { boot: { port: 0 }, control: { port: 0 }, tftp: { port: 0 } }
    const whole = { data, interfaces: ['lo'], dhcp: { mode: 'off' }, ...ports, ...more }
    writeFileSync(join(folder, 'slipway.yaml'), JSON.stringify(whole))
    return join(folder, 'slipway.yaml')
  }
  return { folder, data, config }
}

t.test('what stops the start', needs({ root: true, programs: ['setpriv', 'id'] }), async t => {
  const { data, config } = place(t)
  const serve = async (user: string, through: readonly string[] = []) => {
    const args = [...alone, ...through, process.execPath, main, 'serve', '--config', config(), '--user', user]
    const { exitCode, stderr } = await execa('env', args, { reject: false, timeout: 60_000 })
    t.equal(exitCode, 1, stderr)
    t.notMatch(stderr, /\n {4}at /)
    return stderr
  }
  t.match(await serve('no-such-user'), /there is no user no-such-user: useradd --system/)
  t.match(await serve('root'), /user root is root itself/)
  const bare = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups']
  t.match(await serve('daemon', bare), /only root can run the server as daemon/)
  mkdirSync(data, { mode: 0o700 })
  t.match(await serve('nobody'), /data does not belong to nobody: chown -R nobody: .*data, then start again/)
  chownSync(data, nobody, nobody)
  writeFileSync(join(data, 'slipway.db'), '')
  t.match(await serve('nobody'), /slipway\.db does not belong to nobody: chown -R/)
})

/** A server whose TCP sockets this test opens, as systemd would. */
async function activated(t: Test, names: readonly string[], more: object) {
  const { folder, config } = place(t)
  const sockets: Server[] = []
  for (const _name of names) {
    const socket = createServer()
    socket.listen(0, '127.0.0.1')
    await once(socket, 'listening')
    sockets.push(socket)
  }
  const handles = sockets.map(socket => (socket as unknown as { _handle: { fd: number } })._handle.fd)
  const ports = sockets.map(socket => (socket.address() as { port: number }).port)
  const script = 'export LISTEN_PID=$$; exec "$@"'
  const child = spawn('sh', ['-c', script, 'sh', process.execPath, main, 'serve', '--config', config(more)], {
    cwd: folder,
    env: { PATH: process.env.PATH, LISTEN_FDS: String(names.length), LISTEN_FDNAMES: names.join(':') },
    stdio: ['ignore', 'pipe', 'pipe', ...handles]
  })
  t.teardown(() => child.kill('SIGKILL'))
  for (const socket of sockets) socket.close() // or we would take the connections; the program has its own handle
  return { child, ports }
}

t.test('the service manager’s TCP sockets', async t => {
  const { child, ports } = await activated(t, ['boot-lo', 'control'], {})
  const errors = text(child.stderr!)
  let out = ''
  for await (const chunk of child.stdout!) {
    out += String(chunk)
    if (out.includes('server.started')) break
  }
  t.match(out, /server\.started/, out.includes('server.started') ? '' : await errors)
  const [boot, control] = ports
  t.equal(await (await fetch(`http://127.0.0.1:${boot}/healthz`)).text(), 'ok\n')
  await t.rejects(fetch(`https://127.0.0.1:${control}/healthz`), 'our own authority’s certificate: it is TLS')
  child.kill('SIGTERM')
  await once(child, 'exit')
})

t.test('TCP sockets that do not fit', async t => {
  const rows: Array<[names: string[], more: object, said: RegExp]> = [
    [['boot-lo'], { boot: { port: 8099 } }, /is of port \d+, not 8099 \(boot\.port\): ListenStream=/],
    [['boot-eth9'], {}, /"boot-eth9" was passed, which is nobody's: .*tftp-lo, boot-lo, control/]
  ]
  for (const [names, more, said] of rows) {
    const { child } = await activated(t, names, more)
    const [err] = await Promise.all([text(child.stderr!), text(child.stdout!), once(child, 'close')])
    t.equal(child.exitCode, 1)
    t.match(err, said)
  }
})

t.test('the units that ship', needs({ programs: ['systemd-analyze'] }), async t => {
  const { folder } = place(t)
  for (const name of readdirSync(units)) cpSync(join(units, name), join(folder, name))
  const service = readFileSync(join(units, 'slipway.service'), 'utf8')
  writeFileSync(join(folder, 'slipway.service'), service.replace('/usr/local/bin/slipway', '/bin/true'))
  const files = readdirSync(folder).map(name => join(folder, name))
  const { all } = await execa('systemd-analyze', ['verify', '--man=no', ...files], { all: true, reject: false })
  const ours = all.split('\n').filter(line => line.includes('slipway') || line.includes(folder))
  t.same(ours, [])
  for (const name of readdirSync(units).filter(each => each.endsWith('-eth1.socket'))) {
    const unit = readFileSync(join(units, name), 'utf8')
    t.match(unit, `BindToDevice=eth1\n`)
    t.match(unit, `FileDescriptorName=${name.slice('slipway-'.length, -'.socket'.length)}\n`)
  }
  const rated = await execa('systemd-analyze', ['security', '--offline=yes', join(folder, 'slipway.service')], {
    reject: false
  })
  const exposure = Number(/Overall exposure level for .*: ([0-9.]+)/.exec(rated.stdout)?.[1] ?? 'NaN')
  t.ok(Number.isNaN(exposure) || exposure < 3, `exposure ${exposure}: ${rated.stderr}`)
})
