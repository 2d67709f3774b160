import { createHash } from 'node:crypto'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { buildBootApp } from '../../../server/http/boot-app.ts'
import { approveMachine, armMachine } from '../../../server/provision/machines.ts'
import { failLateBoots } from '../../../server/provision/late.ts'
import { findCertificate } from '../../../server/store/certificates.ts'
import { latestBoot, moveBoot } from '../../../server/store/boots.ts'
import { putDocument } from '../../../server/store/documents.ts'
import { listEvents } from '../../../server/store/events.ts'
import type { Db } from '../../../server/store/schema.ts'
import { getMachine, listMachines } from '../../../server/store/machines.ts'
import { forEachDialect, later } from '../../helpers/database.ts'
import { bootUrl, createWorld, fakeAuthority, noPage, putDocuments, type World } from '../../helpers/http.ts'

const machineAddress = '192.0.2.77'

async function plane(t: Test, approve: 'auto' | 'manual' | null = 'auto', store: Db | null = null) {
  const world = await createWorld(t, fakeAuthority(), noPage, store)
  if (approve !== null) await putDocuments(world, approve)
  const app = await buildBootApp(world)
  t.teardown(() => app.close())
  const get = async (url: string, headers: Record<string, string> = {}, remoteAddress = machineAddress) =>
    app.inject({ url, headers, remoteAddress })
  const head = async (url: string) => app.inject({ method: 'HEAD', url, remoteAddress: machineAddress })
  return { world, app, get, head }
}

const types = async ({ db }: World, machine: string) =>
  (await listEvents(db, { machine, limit: 100 })).map(({ type }) => type)

const configPath = (script: string) => /ignition_url=http:\/\/[^/]+(\S+)/.exec(script)![1]!

forEachDialect(t, 'from an unknown machine to its config', async (t, store) => {
  const { world, get, head } = await plane(t, 'manual', store)
  const { db } = world
  const entry = await get('/boot/ipxe')
  t.match(entry.body, /^#!ipxe\n/)
  t.match(entry.body, 'mac=${mac:hexhyp}')
  t.same(await listMachines(db), [], 'the static script discovers nobody')
  t.equal((await head(bootUrl(1))).statusCode, 200)
  t.same(await listMachines(db), [], 'nor does HEAD')

  const held = await get(bootUrl(1))
  t.match(held.body, /waits: waiting for approval/)
  const [machine] = await listMachines(db)
  const { id } = machine!
  t.match(machine, { state: 'discovered', name: 'node-1', profile: 'worker', reason: 'waiting for approval' })
  await get(bootUrl(1))
  t.same(await types(world, id), ['machine.discovered', 'machine.matched', 'boot.hold'], 'asking again is no news')

  await approveMachine(world, id, {})
  const script = (await get(bootUrl(1))).body
  t.match(await getMachine(db, id), { state: 'installing', armed: false, address: machineAddress })
  const url = configPath(script)
  t.equal((await head(url)).statusCode, 200)
  t.match(await latestBoot(db, id), { state: 'offered' }, 'HEAD delivers nothing')

  const config = await get(url)
  t.equal(config.statusCode, 200)
  t.equal(config.headers['cache-control'], 'no-store')
  t.equal(JSON.parse(config.body).ignition.version, '3.4.0')
  t.match(await latestBoot(db, id), { state: 'delivered', address: machineAddress })
  t.equal((await get(url)).statusCode, 200, 'the same address may read again: a download breaks')
  t.match((await get(bootUrl(1))).body, /local disk/, 'and no second installation begins')
  t.same((await types(world, id)).slice(3), [
    'machine.approved',
    'boot.script',
    'machine.installing',
    'config.delivered',
    'certificate.issued',
    'config.delivered',
    'certificate.issued',
    'boot.local'
  ])
  const told = JSON.stringify(await listEvents(db, { machine: id, limit: 100 })) + JSON.stringify(world.logged)
  t.notMatch(told, /PRIVATE KEY/, 'no key on the timeline or in the log')
  t.notMatch(told, url.split('/')[2]!, 'and no nonce')
})

t.test('an installer that never read its config is handed out again, with a new address for it', async t => {
  const { get } = await plane(t)
  const first = configPath((await get(bootUrl(1))).body)
  const second = configPath((await get(bootUrl(1))).body)
  t.not(second, first)
  t.equal((await get(first)).statusCode, 410)
  t.equal((await get(second)).statusCode, 200)
})

t.test('a second address is an alarm', async t => {
  const { world, get } = await plane(t)
  const url = configPath((await get(bootUrl(1))).body)
  t.equal((await get(url)).statusCode, 200)
  const [machine] = await listMachines(world.db)
  const stranger = await get(url, {}, '192.0.2.99')
  t.equal(stranger.statusCode, 410)
  t.notMatch(stranger.body, machineAddress, 'who learns nothing about whose it was')
  t.equal((await get(url)).statusCode, 410, 'the boot is quarantined for everybody')
  t.match(await latestBoot(world.db, machine!.id), { state: 'quarantined' })
  t.match(await getMachine(world.db, machine!.id), { state: 'failed', reason: /192\.0\.2\.99/ })
  t.match((await findCertificate(world.db, 'serial-1'))!.revokedAt, Date)
  t.match(
    (await listEvents(world.db, { machine: machine!.id, limit: 100 })).filter(({ level }) => level === 'warning'),
    [{ type: 'config.alarm' }, { type: 'machine.failed' }]
  )
})

forEachDialect(t, 'all at once', async (t, store) => {
  const { world, get } = await plane(t, 'auto', store)
  const scripts = await Promise.all([1, 1, 1, 2, 3].map(async n => get(bootUrl(n))))
  t.same(
    scripts.map(({ statusCode }) => statusCode).filter(status => status !== 200 && status !== 503 && status !== 409),
    []
  )
  t.equal((await listMachines(store)).length, 3, 'a machine that asks three times at once is one machine')
  const url = configPath((await get(bootUrl(1))).body)
  const reads = await Promise.all([machineAddress, '192.0.2.98', '192.0.2.99'].map(async from => get(url, {}, from)))
  t.ok(reads.filter(({ statusCode }) => statusCode === 200).length <= 1, 'never to a stranger')
  t.equal(reads[1]!.statusCode, 410)
  t.ok((await listEvents(store, { limit: 100 })).some(({ type }) => type === 'config.alarm'))
  t.same(world.logged, [])
})

t.test('forwarding headers change no address', async t => {
  const { get } = await plane(t)
  const url = configPath((await get(bootUrl(1))).body)
  for (const name of ['x-forwarded-for', 'forwarded', 'x-real-ip', 'x_forwarded_for', 'x-rhn-provisioning-mac']) {
    t.equal((await get(url, { [name]: machineAddress }, '192.0.2.99')).statusCode, 410, name)
  }
})

t.test('after the machine has enrolled', async t => {
  const { world, get } = await plane(t)
  const url = configPath((await get(bootUrl(1))).body)
  await get(url)
  const [machine] = await listMachines(world.db)
  const boot = await latestBoot(world.db, machine!.id)
  await moveBoot(world.db, boot!.id, ['delivered'], 'confirmed', later(1))
  t.equal((await get(url)).statusCode, 410)
  t.match((await types(world, machine!.id)).at(-2), 'config.alarm')
})

t.test('what took too long', async t => {
  const { world, get } = await plane(t)
  const url = configPath((await get(bootUrl(1))).body)
  world.clock.now = later(31 * 60)
  t.equal((await get(url)).statusCode, 410)
  const [machine] = await listMachines(world.db)
  t.equal(await failLateBoots(world), 1)
  t.match(await getMachine(world.db, machine!.id), { state: 'failed', reason: /never read its config/ })
  t.match((await get(bootUrl(1))).body, /local disk/)
  await armMachine(world, machine!.id, true)
  t.match((await get(bootUrl(1))).body, /^kernel /m, 'one command tries again')
})

t.test('a machine whose disk does not start has failed, and says so', async t => {
  const { world, get } = await plane(t)
  await get(configPath((await get(bootUrl(1))).body))
  const [machine] = await listMachines(world.db)
  for (let times = 1; times <= 4; times++) t.match((await get(bootUrl(1))).body, 'sanboot')
  t.match(await getMachine(world.db, machine!.id), { state: 'installing' }, 'a few restarts are nobody’s business')
  t.match((await get(bootUrl(1))).body, 'sanboot')
  t.match(await getMachine(world.db, machine!.id), { state: 'failed', reason: /came back 5 times .* slipway install/ })
})

t.test('held, never failed, while something is missing', async t => {
  const rows: Array<[what: string, change: (world: World) => void, claims: Record<string, string>, said: RegExp]> = [
    ['no rule', () => {}, { product: 'other' }, /no rule matches/],
    ['an unknown architecture', () => {}, { arch: 'riscv64' }, /does not say which architecture/]
  ]
  for (const [what, change, claims, said] of rows) {
    const { world, get } = await plane(t, what === 'no rule' ? null : 'auto')
    change(world)
    t.match((await get(bootUrl(1, claims))).body, said, what)
  }
})

t.test('a Machine document without a profile names what a rule takes in', async t => {
  const { world, get } = await plane(t, 'manual')
  const spec = { macs: ['52-54-00-00-00-01'] }
  const facts = { apiVersion: 'slipway.dev/v1', kind: 'Machine', metadata: { name: 'top-of-rack' }, spec } as const
  await putDocument(world.db, facts, world.now())
  t.match((await get(bootUrl(1))).body, /waits: waiting for approval/)
  t.match(await listMachines(world.db), [{ name: 'top-of-rack', profile: 'worker', rule: 'all', state: 'discovered' }])
})

t.test('two boards with one UUID are held, and the operator is told', async t => {
  const { world, get } = await plane(t)
  await get(bootUrl(1))
  await get(bootUrl(2))
  const twin = await get(bootUrl(2, { uuid: '4c4c4544-0000-1000-8000-000000000001' }))
  t.match(twin.body, /waits: its MAC address belongs to one machine/)
  t.equal((await listMachines(world.db)).length, 2)
  t.match(
    (await listEvents(world.db, { limit: 100 })).filter(({ type }) => type === 'boot.hold'),
    [{ level: 'warning' }, { level: 'warning' }]
  )
})

t.test('what hardware says of itself is text', async t => {
  const hostile: Array<[name: string, encoded: string, stored: string]> = [
    ['quotes', '%22%27%60', '"\'`'],
    ['iPXE settings', '%24%7Bshell%7D', '${shell}'],
    ['lines', 'a%0Ashell%0D%0A%23!ipxe', 'a\nshell\r\n#!ipxe'],
    ['commands', 'x%20%7C%7C%20shell%20%26%26%20reboot%20%3B', 'x || shell && reboot ;'],
    ['markup', '%3Cscript%3Ealert(1)%3C/script%3E', '<script>alert(1)</script>'],
    ['no UTF-8', '%ff%fe%80', '\ufffd\ufffd\ufffd'],
    ['NUL', 'a%00b', 'a\ufffdb'],
    ['a broken escape', '100%25%zz', '100%%zz'],
    ['4 KB and more', 'A'.repeat(6000), 'A'.repeat(4096)],
    ['4 KB and more, escaped', '%41'.repeat(6000), 'A'.repeat(4096)]
  ]
  for (const [name, encoded, stored] of hostile) {
    for (const approve of ['auto', 'manual'] as const) {
      const { world, get } = await plane(t, approve)
      const claims = ['serial', 'manufacturer', 'product', 'asset'].map(key => `${key}=${encoded}`).join('&')
      const reply = await get(`/boot/ipxe?mac=52-54-00-00-00-01&arch=x86_64&platform=efi&${claims}`)
      t.equal(reply.statusCode, 200, name)
      const [machine] = await listMachines(world.db)
      t.match(machine!.hardware, { serial: stored, product: stored, asset: stored }, name)
      t.notMatch(reply.body, /\$\{|\r|^shell|^reboot|^#!ipxe\n#!ipxe/m, `${name}: inert`)
      t.equal(reply.body.match(/#!ipxe/g)!.length, 1, `${name}: one script`)
    }
  }
})

t.test('a query that names no machine', async t => {
  const { world, get } = await plane(t)
  for (const url of ['/boot/ipxe?', '/boot/ipxe?mac=', '/boot/ipxe?mac=zz', '/boot/ipxe?uuid=1', '/boot/ipxe?&&==&']) {
    t.equal((await get(url)).statusCode, url === '/boot/ipxe?' ? 200 : 400, url)
  }
  t.same(await listMachines(world.db), [])
})

t.test('files', async t => {
  const { world, app, get, head } = await plane(t, null)
  symlinkSync(join(world.data, 'secret.txt'), join(world.data, 'assets/out'))
  symlinkSync('vmlinuz', join(world.data, 'assets/fcos/same'))
  symlinkSync(world.data, join(world.data, 'assets/up'))
  mkdirSync(`${world.data}/assets-evil`)
  writeFileSync(`${world.data}/assets-evil/x`, 'evil')
  const rows: Array<[url: string, status: number, body: string | null]> = [
    ['/assets/fcos/vmlinuz', 200, 'kernel of fcos'],
    ['//assets///fcos//vmlinuz', 200, 'kernel of fcos'],
    ['/assets/fcos/same', 200, 'kernel of fcos'],
    ['/assets/boot/snponly.efi', 200, 'ipxe'],
    ['/assets/extensions/kubernetes-v1.36.3-x86_64.raw', 200, 'extension'],
    ['/agent/x86_64', 200, 'agent'],
    ['/agent/mips', 400, null],
    ['/assets/', 404, null],
    ['/assets/fcos', 404, null],
    ['/assets/fcos/', 404, null],
    ['/assets/.hidden', 404, null],
    ['/assets/fcos/.treeinfo', 200, '[general]'],
    ['/assets/out', 404, null],
    ['/assets/up/secret.txt', 404, null],
    ['/assets/../secret.txt', 404, null],
    ['/assets/%2e%2e/secret.txt', 404, null],
    ['/assets/..%2fsecret.txt', 404, null],
    ['/assets/..%5csecret.txt', 404, null],
    ['/assets/....//secret.txt', 404, null],
    ['/assets/../assets-evil/x', 404, null],
    ['/assets/boot/../../secret.txt', 404, null],
    ['/assets/fcos/vmlinuz%00.txt', 404, null],
    [`/assets/${'a'.repeat(900)}`, 404, null],
    ['/assets/%ff', 400, null],
    ['/', 404, null],
    ['/healthz', 200, 'ok\n']
  ]
  for (const [url, status, body] of rows) {
    const reply = await get(url)
    t.equal(reply.statusCode, status, url)
    t.equal(reply.headers.location, undefined, `${url}: never a redirect`)
    if (body !== null) t.equal(reply.body, body, url)
  }
  const part = await get('/assets/fcos/vmlinuz', { range: 'bytes=0-5' })
  t.match([part.statusCode, part.body, part.headers['content-range']], [206, 'kernel', 'bytes 0-5/14'])
  t.equal((await get('/assets/fcos/vmlinuz', { range: 'bytes=99-' })).statusCode, 416)
  const whole = await get('/assets/fcos/vmlinuz')
  t.equal((await get('/assets/fcos/vmlinuz', { 'if-none-match': String(whole.headers.etag) })).statusCode, 304)
  const asked = await head('/assets/fcos/vmlinuz')
  t.match([asked.statusCode, asked.body, asked.headers['content-length']], [200, '', '14'])
  t.equal((await app.inject({ method: 'POST', url: '/healthz', payload: 'x'.repeat(5000) })).statusCode, 404)
  const agent = await world.artifacts.findAgent('x86_64')
  t.equal(agent!.sha256, createHash('sha256').update('agent').digest('hex'))
  writeFileSync(agent!.path, 'a newer agent')
  t.equal((await world.artifacts.findAgent('x86_64'))!.size, 13, 'a file that changed is looked at again')
})
