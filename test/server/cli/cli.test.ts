// The command line as a program: each row is one call of it, with its exit status and what it says.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { buildBootApp } from '../../../server/http/boot-app.ts'
import { buildControlApp } from '../../../server/http/control-app.ts'
import { age, plainText, renderTable, widthOf } from '../../../server/cli/table.ts'
import { getMachine, listMachines } from '../../../server/store/machines.ts'
import { bootUrl, createWorld, fakeAuthority, nodeView, profile, putDocuments, ruleOf } from '../../helpers/http.ts'

// Sixty programs are started, on a computer that may do other things as well.
t.setTimeout(300_000)

const main = join(import.meta.dirname, '../../../server/main.ts')

interface Ended {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

/** Compiled code is kept between them. */
const cache = mkdtempSync(join(tmpdir(), 'slipway-cli-cache-'))
t.teardown(() => rmSync(cache, { recursive: true, force: true }))
const basics = { PATH: process.env.PATH, NODE_COMPILE_CACHE: cache }

async function slipway(args: readonly string[], { cwd = tmpdir(), env = {} } = {}): Promise<Ended> {
  const child = spawn(process.execPath, [main, ...args], { cwd, env: { ...basics, ...env } })
  child.stdin.end()
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { status: child.exitCode, out, err }
}

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'slipway-cli-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

async function running(t: Test) {
  const world = await createWorld(t, fakeAuthority())
  await putDocuments(world, 'manual')
  const boot = await buildBootApp(world)
  const app = await buildControlApp(world, null)
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => Promise.all([app.close(), boot.close()]))
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  const place = folder(t)
  writeFileSync(join(place, 'admin'), 'admin-token\n')
  writeFileSync(join(place, 'viewer'), 'viewer-token\n')
  const env = { SLIPWAY_SERVER: url, SLIPWAY_TOKEN_FILE: join(place, 'admin') }
  return { world, boot, url, place, env, run: (...args: string[]) => slipway(args, { env, cwd: place }) }
}

t.test('called wrongly, or with nothing to talk to', async t => {
  const place = folder(t)
  writeFileSync(join(place, 'bad.yaml'), 'data: 5\nfoo: 1\ninterfaces: []\n')
  const rows: Array<[args: string[], status: number, said: RegExp]> = [
    [['--help'], 0, /Commands:/],
    [['get', '--help'], 0, /--output/],
    [['version'], 0, /^slipway \d/],
    [['version', '-o', 'json'], 0, /^\{"version":"\d/],
    [[], 2, /Usage: slipway/],
    [['frobnicate'], 2, /unknown command/],
    [['get'], 2, /missing required argument/],
    [['get', 'unicorns'], 2, /Allowed choices are machines/],
    [['get', 'machines', '-o', 'xml'], 2, /Allowed choices/],
    [['approve'], 2, /missing required argument/],
    [['approve', 'a', 'b', '--name', 'x'], 2, /for one machine/],
    [['lab', '--machines', 'many'], 2, /number from 1/],
    [['get', 'machines', '--server', 'ftp://x'], 2, /wants a URL/],
    [['get', 'machines'], 1, /no server: start one/],
    [['get', 'machines', '--server', 'http://127.0.0.1:1'], 1, /cannot reach .*is the server running/],
    [['get', 'machines', '--server', 'http://127.0.0.1:1', '--token-file', '/nowhere'], 1, /token file \/nowhere/],
    [['serve'], 2, /there is no slipway\.yaml; slipway init/],
    [['serve', '--config', 'bad.yaml'], 2, /foo[^]*data[^]*interfaces/],
    [['check', '--config', 'bad.yaml'], 2, /nothing was started|problems/]
  ]
  const ends = await Promise.all(rows.map(async ([args]) => slipway(args, { cwd: place })))
  for (const [index, [args, status, said]] of rows.entries()) {
    const ended = ends[index]!
    t.equal(ended.status, status, `slipway ${args.join(' ')}`)
    t.match(ended.out + ended.err, said, `slipway ${args.join(' ')}`)
    t.notMatch(ended.err, /\n {4}at /, 'no stack for a person')
  }
})

t.test('init and check', async t => {
  const place = folder(t)
  const shown = await slipway(['init', '--file', '-'], { cwd: place })
  if (shown.status === 1) return t.match(shown.err, /no network interface/)
  t.equal(parse(shown.out).dhcp.mode, 'proxy')
  t.match(await slipway(['init'], { cwd: place }), { status: 0, out: /67\/udp[^]*Next: slipway assets import/ })
  t.match(await slipway(['init'], { cwd: place }), { status: 1, err: /is there already/ })
  t.match(await slipway(['init', '--interface', 'nope'], { cwd: place }), {
    status: 1,
    err: /interface nope does not exist; there are/
  })
  t.match(await slipway(['check'], { cwd: place }), { status: 0, out: /slipway\.yaml is right/ })
  writeFileSync(join(place, 'rule.json'), JSON.stringify(ruleOf('auto')))
  t.match(await slipway(['check', '-f', 'rule.json'], { cwd: place }), { status: 1, err: /Rule\/all: spec\.profile/ })
  writeFileSync(join(place, 'broken.yaml'), 'a: [')
  writeFileSync(join(place, 'bad.yaml'), 'data: 5\n')
  const all = await slipway(['check', '--config', 'bad.yaml', '-f', 'broken.yaml', 'rule.json', '-o', 'json'], {
    cwd: place
  })
  t.equal(all.status, 2)
  t.same(
    JSON.parse(all.out).problems.map(({ path }: { path: string }) => path),
    ['interfaces', 'data', 'broken.yaml:1', 'Rule/all: spec.profile'],
    'one that is broken hides no other'
  )
  const made = await slipway(['init', '--file', 'other.yaml', '-o', 'json'], { cwd: place })
  t.match(JSON.parse(made.out), { file: 'other.yaml', interface: String, firewall: [/67\/udp/] })
  return t.match(readFileSync(join(place, 'slipway.yaml'), 'utf8'), /^data: /m)
})

t.test('an operator’s day', async t => {
  const { world, boot, place, env, run } = await running(t)
  await boot.inject({ url: bootUrl(1, { product: 'Board \u001b[31m7\u202e' }), remoteAddress: '192.0.2.7' })
  const [machine] = await listMachines(world.db)
  const listed = await run('get', 'machines')
  t.match(listed.out, /^NAME +STATE +SINCE/)
  t.match(listed.out, /node-1 +discovered .*waiting for approval/)
  t.equal((await run('get', 'machines', '-o', 'name')).out, 'machine/node-1\n')
  t.match(JSON.parse((await run('get', 'machines', '-o', 'json')).out), [{ name: 'node-1' }])
  t.match(parse((await run('get', 'machines', 'node-1', '-o', 'yaml')).out), { name: 'node-1', armed: false })
  t.match((await run('get', 'machines', '-o', 'wide')).out, /QEMU Board 7\ufffd/, 'no colour, no direction')
  t.match((await run('describe', 'machine', '52-54-00-00-00-01')).out, /Timeline[^]*machine\.discovered/)
  t.match(JSON.parse((await run('describe', 'machine', 'node-1', '-o', 'json')).out), {
    machine: { name: 'node-1' },
    events: [{ type: 'machine.discovered' }]
  })

  t.match(await run('approve', 'node-1', 'nobody'), { status: 1, out: /node-1 is approved/, err: /nobody: no machine/ })
  t.match(await getMachine(world.db, machine!.id), { state: 'approved', armed: true })
  t.match(await run('approve', 'node-1'), { status: 1, err: /cannot approve a machine that is approved/ })
  t.match(await run('install', 'node-1', '--wipe'), { status: 0, out: /node-1 is approved/ })
  t.match(await getMachine(world.db, machine!.id), { wipe: true })
  t.match(await run('reject', 'node-1', '--reason', 'not ours'), { status: 0, out: /ignored/ })
  t.match(await run('retire', 'node-1', '-o', 'json'), { status: 0, out: /"retired"/ })
  t.match(await slipway(['retire', 'node-1', '--token-file', join(place, 'viewer')], { env }), {
    status: 1,
    err: /needs the role operator; yours is viewer/
  })

  world.nodesSeen.push({ ...nodeView('node-1', 'v1.36.3'), machine: machine!.id })
  t.match((await run('get', 'nodes')).out, /node-1 +yes +v1\.36\.3/)
  t.match((await run('describe', 'node', 'node-1')).out, /Ready: +yes[^]*machine\.retired/)
  const kinds = ['boots', 'profiles', 'rules', 'clusters', 'leases', 'events']
  const lists = await Promise.all(kinds.map(async kind => run('get', kind)))
  t.same(
    lists.map(({ status }) => status),
    [0, 0, 0, 0, 0, 0]
  )
  t.match((await run('get', 'events', 'node-1', '-o', 'json')).out, /machine\.rejected/)
  t.match(await run('get', 'profiles', 'nothing'), { status: 1, err: /no Profile nothing/ })
})

t.test('apply: all or nothing, with every problem', async t => {
  const { place, run } = await running(t)
  const cluster = { apiVersion: 'slipway.dev/v1', kind: 'Cluster', metadata: { name: 'rack' } }
  const spec = { endpoint: '192.0.2.1:6443', version: 'v1.36.3' }
  const documents = [
    { ...cluster, spec },
    { ...profile, metadata: { name: 'other' } }
  ]
  writeFileSync(join(place, 'all.yaml'), documents.map(document => JSON.stringify(document)).join('\n---\n'))
  t.match(await run('apply', '-f', 'all.yaml'), { status: 0, out: 'cluster/rack created\nprofile/other created\n' })
  t.match(await run('apply', '-f', 'all.yaml'), { status: 0, out: /cluster\/rack unchanged/ })
  writeFileSync(join(place, 'bad.yaml'), JSON.stringify({ ...cluster, spec: { endpoint: 'x', version: '1' } }))
  t.match(await run('apply', '-f', 'bad.yaml'), { status: 1, err: /Cluster\/rack: spec\.endpoint[^]*spec\.version/ })
  writeFileSync(join(place, 'broken.yaml'), 'a: [')
  t.match(await run('apply', '-f', 'broken.yaml'), { status: 1, err: /broken\.yaml/ })
  t.match(await run('apply', '-f', 'nowhere.yaml'), { status: 1, err: /nowhere\.yaml/ })
})

t.test('beside a running server nothing need be said', async t => {
  const { url, place } = await running(t)
  const data = join(place, 'data')
  mkdirSync(join(data, 'ca'), { recursive: true })
  writeFileSync(join(place, 'slipway.yaml'), `data: ${data}\n`)
  writeFileSync(join(data, 'run.json'), JSON.stringify({ pid: process.pid, control: url, boot: url, page: null }))
  writeFileSync(join(data, 'admin.token'), 'admin-token\n')
  writeFileSync(join(data, 'ca/ca.crt'), '')
  t.match(await slipway(['get', 'rules'], { cwd: place }), { status: 0, out: /all +0 +worker/ })
  writeFileSync(join(data, 'run.json'), JSON.stringify({ pid: 2 ** 22 + 1, control: url, boot: url, page: null }))
  t.match(
    await slipway(['get', 'rules'], { cwd: place }),
    { status: 1, err: /no server/ },
    'one that has ended is none'
  )
})

t.test('-w goes on', async t => {
  const { boot, env, place } = await running(t)
  const child = spawn(process.execPath, [main, 'get', 'machines', '-w', '-o', 'name'], {
    cwd: place,
    env: { ...basics, ...env }
  })
  t.teardown(() => child.kill('SIGKILL'))
  let out = ''
  child.stdout.on('data', chunk => {
    out += chunk
  })
  await boot.inject({ url: bootUrl(1) })
  while (!out.includes('machine/node-1')) await once(child.stdout, 'data')
  await boot.inject({ url: bootUrl(2) })
  while (!out.includes('machine/node-2')) await once(child.stdout, 'data')
  t.pass('both appeared')
})

t.test('tables', async t => {
  t.equal(widthOf('abc'), 3)
  t.equal(widthOf('日本'), 4)
  t.equal(widthOf('e\u0301'), 1)
  t.equal(plainText('a\u001b[2Jb\u0007\n\u2066'), 'ab\ufffd\n\ufffd')
  const columns = [
    { title: 'A', value: ([a]: string[]) => a! },
    { title: 'B', value: ([, b]: string[]) => b ?? null }
  ]
  t.equal(
    renderTable(columns, [['日本', 'x'], ['a\nb'], ['y'.repeat(100), 'z']]).split('\n')[1],
    `日本${' '.repeat(56)}  x`
  )
  t.match(renderTable(columns, [['a\nb']]), /^A {4}B\na b {2}-$/)
  const now = Date.parse('2026-01-02T12:00:00Z')
  t.same(
    ['2026-01-02T11:59:50Z', '2026-01-02T11:50:00Z', '2026-01-02T06:00:00Z', '2025-12-01T00:00:00Z'].map(at =>
      age(at, now)
    ),
    ['10s', '10m', '6h', '32d']
  )
})
