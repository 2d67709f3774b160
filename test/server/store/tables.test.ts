// The other tables' functions, on both dialects.

import t from 'tap'
import type { AnyDocument } from '../../../server/contract/document.ts'
import type { Hardware } from '../../../server/contract/machine.ts'
import type { Mac } from '../../../server/contract/net.ts'
import { isLate } from '../../../server/core/boots.ts'
import * as boots from '../../../server/store/boots.ts'
import * as certificates from '../../../server/store/certificates.ts'
import { nextNumber } from '../../../server/store/counters.ts'
import * as documents from '../../../server/store/documents.ts'
import { addEvent, listEvents, pruneEvents } from '../../../server/store/events.ts'
import * as tokens from '../../../server/store/join-tokens.ts'
import { createMachine } from '../../../server/store/machines.ts'
import type { Db } from '../../../server/store/schema.ts'
import * as slots from '../../../server/store/slots.ts'
import * as access from '../../../server/store/tokens.ts'
import { forEachDialect, later, memoryDatabase, noon } from '../../helpers/database.ts'

const mac = (n: number): Mac => `52:54:00:00:00:0${n}` as Mac
const hardware: Hardware = {
  uuid: null,
  serial: null,
  manufacturer: null,
  product: null,
  asset: null,
  arch: 'x86_64',
  platform: 'uefi'
}
const create = async (db: Db, n: number) =>
  (await createMachine(db, { id: `m-0000000${n}`, macs: [mac(n)], hardware }, noon))!

const offer = (n: number, machine = 'm-00000001') =>
  ({ id: `b-0000000${n}`, nonceHash: `h${n}`, machine, address: '10.0.0.9', kind: 'ignition', profile: 'w' }) as const

forEachDialect(t, 'a boot from offer to end', async (t, db) => {
  await create(db, 1)
  const boot = await boots.createBoot(db, offer(1), noon)
  t.match(boot, {
    id: 'b-00000001',
    state: 'offered',
    address: '10.0.0.9',
    createdAt: noon,
    deliveredAt: null,
    endedAt: null
  })
  t.same(await boots.findBootByNonceHash(db, 'h1'), boot)
  t.same(await boots.findBoot(db, boot.id), boot)
  t.equal(await boots.findBootByNonceHash(db, 'h2'), null)
  const open = ['offered', 'delivered'] as const
  t.match(await boots.moveBoot(db, boot.id, open, 'delivered', later(5)), {
    state: 'delivered',
    deliveredAt: later(5),
    endedAt: null
  })
  t.match(
    await boots.moveBoot(db, boot.id, open, 'delivered', later(9)),
    { deliveredAt: later(5) },
    'the first read counts'
  )
  const confirm = () => boots.moveBoot(db, boot.id, ['delivered'], 'confirmed', later(20))
  const both = await Promise.all([confirm(), confirm()])
  t.match(
    both.filter(moved => moved !== null),
    [{ state: 'confirmed', deliveredAt: later(5), endedAt: later(20) }]
  )
  t.match(await boots.moveBoot(db, boot.id, ['confirmed'], 'quarantined', later(30)), { endedAt: later(20) })
})

forEachDialect(t, 'a newer boot supersedes the open ones of its machine', async (t, db) => {
  await create(db, 1)
  await create(db, 2)
  await boots.createBoot(db, offer(1), noon)
  await boots.createBoot(db, offer(2, 'm-00000002'), noon)
  await boots.createBoot(db, offer(3), noon)
  t.same(
    (await boots.listBoots(db, { machine: 'm-00000001' })).map(({ id, state }) => `${id} ${state}`),
    ['b-00000003 offered', 'b-00000001 superseded']
  )
  t.equal((await boots.latestBoot(db, 'm-00000001'))?.id, 'b-00000003')
  t.equal((await boots.latestBoot(db, 'm-00000002'))?.state, 'offered', 'another machine’s is left alone')
  t.equal(await boots.latestBoot(db, 'm-00000003'), null)
  await Promise.all([4, 5, 6, 7].map(n => boots.createBoot(db, offer(n), later(n))))
  const left = (await boots.listBoots(db, { machine: 'm-00000001' })).filter(({ state }) => state === 'offered')
  t.equal(left.length, 1, 'also when they come at once')
  t.equal((await boots.listBoots(db)).length, 7)
})

forEachDialect(t, 'boots that took too long', async (t, db) => {
  for (const n of [1, 2, 3]) await create(db, n)
  for (const n of [1, 2, 3]) await boots.createBoot(db, offer(n, `m-0000000${n}`), n === 3 ? later(1700) : noon)
  await boots.moveBoot(db, 'b-00000002', ['offered'], 'delivered', later(60))
  t.same(await boots.expireBoots(db, later(1800)), [], 'not yet')
  const late = await boots.expireBoots(db, later(1801))
  t.match(late, [{ id: 'b-00000001', state: 'expired', endedAt: later(1801) }])
  t.equal(isLate({ ...late[0]!, state: 'offered' }, later(1801)), true, 'as the core sees it')
  t.same((await boots.expireBoots(db, later(60 + 7201))).map(({ id }) => id).toSorted(), ['b-00000002', 'b-00000003'])
})

forEachDialect(t, 'the timeline', async (t, db) => {
  const write = (event: object) => addEvent(db, { type: 'dhcp.discover', message: 'x', ...event }, noon)
  const first = await write({
    mac: mac(1),
    message: 'héllo\0',
    detail: { arch: 7, iface: 'eth1', ok: true, none: null, text: '\0\ud800' }
  })
  t.match(first, {
    at: noon.toISOString(),
    level: 'info',
    machine: null,
    message: 'héllo\ufffd',
    detail: { arch: 7, none: null }
  })
  await write({ mac: mac(2) })
  await write({ machine: 'm-00000001', mac: mac(1), boot: 'b-00000001' })
  await write({ machine: 'm-00000002', mac: mac(1), level: 'warning' })
  const ids = async (filter: object) => (await listEvents(db, { limit: 10, ...filter })).map(({ id }) => id - first.id)
  t.same(await ids({}), [0, 1, 2, 3])
  t.same(await ids({ limit: 2 }), [2, 3], 'the newest')
  t.same(await ids({ after: first.id, limit: 2 }), [1, 2], 'the next')
  t.same(await ids({ machine: 'm-00000001', macs: [mac(1)] }), [0, 2], 'also before it was known')
  t.same(await ids({ machine: 'm-00000001' }), [2])
  t.same(await ids({ macs: [mac(1), mac(2)] }), [0, 1], 'of nobody yet')
  t.same(await ids({ boot: 'b-00000001' }), [2])
  t.same(await ids({ boot: 'b-00000001', machine: 'm-00000002' }), [])
})

forEachDialect(t, 'the timeline is bounded, and ids are never given twice', async (t, db) => {
  const add = async (count: number, machine: string | null) => {
    for (let i = 0; i < count; i++) await addEvent(db, { type: 'dhcp.discover', machine, message: 'x' }, noon)
  }
  await add(30, null)
  await add(20, 'm-00000001')
  await add(5, 'm-00000002')
  t.equal(await pruneEvents(db, { strangers: 10, perMachine: 15 }), 20 + 5)
  const left = await listEvents(db, { limit: 100 })
  t.same(
    left.map(({ id }) => id),
    [...range(21, 30), ...range(36, 55)]
  )
  t.equal(await pruneEvents(db), 0)
  t.equal(await pruneEvents(db, { strangers: 0, perMachine: 0 }), 30)
  t.equal((await addEvent(db, { type: 'dhcp.discover', message: 'x' }, noon)).id, 56)
})

t.test('strangers cannot fill the disk: writing prunes', async t => {
  const db = await memoryDatabase(t)
  await addEvent(db, { type: 'machine.discovered', machine: 'm-00000001', message: 'x' }, noon)
  for (let i = 0; i < 11_000; i++) await addEvent(db, { type: 'dhcp.discover', message: 'x' }, noon)
  const all = await listEvents(db, { limit: 20_000 })
  t.ok(all.length < 10_000 + 500 + 2, `${all.length} events`)
  t.equal(all[0]?.machine, 'm-00000001', 'a machine’s own are kept')
})

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}

forEachDialect(t, 'certificates by serial', async (t, db) => {
  const issue = (serial: string, kind: certificates.CertificateKind, machine: string | null, boot: string | null) =>
    certificates.recordCertificate(db, { serial, kind, machine, boot, expiresAt: later(60) }, noon)
  await issue('0a', 'server', null, null)
  await issue('0b', 'boot', 'm-1', 'b-1')
  await issue('0c', 'machine', 'm-1', null)
  await issue('0d', 'machine', 'm-1', null)
  const want = {
    serial: '0b',
    kind: 'boot',
    machine: 'm-1',
    boot: 'b-1',
    issuedAt: noon,
    expiresAt: later(60),
    revokedAt: null
  }
  t.same(await certificates.findCertificate(db, '0b'), want)
  t.equal(await certificates.findCertificate(db, '0e'), null)
  await t.rejects(issue('0b', 'boot', null, null), 'a serial is used once')
  t.equal(await certificates.revokeCertificates(db, { machine: 'm-1', kind: 'machine', except: '0d' }, later(1)), 1)
  t.equal(await certificates.revokeCertificates(db, { boot: 'b-1' }, later(2)), 1)
  t.equal(await certificates.revokeCertificates(db, { machine: 'm-1' }, later(3)), 1)
  t.equal(await certificates.revokeCertificates(db, { machine: 'm-1' }, later(4)), 0)
  t.match(await certificates.findCertificate(db, '0c'), { revokedAt: later(1) }, 'the first time stays')
  t.match(await certificates.findCertificate(db, '0a'), { revokedAt: null })
  await t.rejects(certificates.revokeCertificates(db, {}, noon), /names the machine or the boot/)
})

forEachDialect(t, 'documents', async (t, db) => {
  const rule = (name: string, profile: string): AnyDocument => ({
    apiVersion: 'slipway.dev/v1',
    kind: 'Rule',
    metadata: { name },
    spec: { match: {}, profile, approve: 'auto', name: 'n{number}' }
  })
  t.equal(await documents.putDocument(db, rule('b', 'p'), noon), 'created')
  t.equal(await documents.putDocument(db, rule('b', 'p'), noon), 'unchanged')
  t.equal(await documents.putDocument(db, rule('b', 'q'), noon), 'changed')
  t.equal(await documents.putDocument(db, rule('a', 'p'), noon), 'created')
  t.same(await documents.findDocument(db, 'Rule', 'b'), rule('b', 'q'))
  t.equal(await documents.findDocument(db, 'Profile', 'b'), null)
  t.same(await documents.listDocuments(db, 'Rule'), [rule('a', 'p'), rule('b', 'q')])
  t.same(await documents.listDocuments(db), [rule('a', 'p'), rule('b', 'q')])
  t.same(await documents.listDocuments(db, 'Cluster'), [])
  t.equal(await documents.deleteDocument(db, 'Rule', 'b'), true)
  t.equal(await documents.deleteDocument(db, 'Rule', 'b'), false)
})

forEachDialect(t, 'a join token approves one CSR', async (t, db) => {
  const token = { id: 'abcdef', machine: 'm-1', node: 'n1', role: 'worker', expiresAt: later(600) } as const
  const made = await tokens.createJoinToken(db, token, noon)
  t.match(made, { ...token, createdAt: noon, csr: null, endedAt: null })
  t.same(await tokens.findJoinToken(db, 'abcdef'), made)
  t.same(await tokens.listOpenJoinTokens(db), [made])
  const both = await Promise.all(['csr-a', 'csr-b'].map(csr => tokens.bindCsr(db, 'abcdef', csr)))
  const [winner] = both.filter(bound => bound !== null)
  t.equal(both.filter(bound => bound === null).length, 1, 'only one of two at once')
  t.match(await tokens.bindCsr(db, 'abcdef', winner!.csr!), { csr: winner!.csr }, 'the same again is no mistake')
  t.equal(await tokens.bindCsr(db, 'abcdef', 'csr-c'), null)
  t.match(await tokens.endJoinToken(db, 'abcdef', later(9)), { endedAt: later(9) })
  t.equal(await tokens.endJoinToken(db, 'abcdef', later(10)), null)
  t.equal(await tokens.bindCsr(db, 'abcdef', winner!.csr!), null, 'not after its end')
  t.same(await tokens.listOpenJoinTokens(db), [])
  t.equal(await tokens.findJoinToken(db, 'other'), null)
})

forEachDialect(t, 'one slot, whoever comes first', async (t, db) => {
  const take = (machine: string, target = 'v1.36.3', seconds = 0) => slots.takeSlot(db, machine, target, later(seconds))
  const all = await Promise.all(range(1, 8).map(n => take(`m-${n}`)))
  const [winner] = all.filter(slot => slot !== null)
  t.equal(all.filter(slot => slot === null).length, 7)
  t.same(await take(winner!.machine, 'v1.36.3', 9), winner, 'its own back, as it was')
  t.match(await take(winner!.machine, 'v1.36.4', 9), { target: 'v1.36.4', grantedAt: noon })
  t.equal((await slots.listSlots(db)).length, 1)
  t.match(await slots.findSlot(db, winner!.machine), { target: 'v1.36.4' })
  t.equal(await slots.findSlot(db, 'm-9'), null)
  t.equal(await slots.returnSlot(db, 'm-9'), null, 'nobody returns another’s')
  t.match(await slots.returnSlot(db, winner!.machine), { machine: winner!.machine })
  t.equal(await slots.returnSlot(db, winner!.machine), null)
  t.match(await take('m-9'), { machine: 'm-9' })
})

forEachDialect(t, 'access tokens', async (t, db) => {
  const token = await access.createToken(db, 'ann', 'admin', 'h1', noon)
  t.same(token, { name: 'ann', role: 'admin', createdAt: noon, revokedAt: null })
  t.same(await access.findTokenByHash(db, 'h1'), token)
  t.equal(await access.findTokenByHash(db, 'h2'), null)
  await t.rejects(access.createToken(db, 'ann', 'viewer', 'h2', noon), {
    code: 'conflict',
    message: /a token ann exists/
  })
  t.equal(await access.revokeToken(db, 'ann', later(1)), true)
  t.equal(await access.revokeToken(db, 'ann', later(2)), false)
  t.equal(await access.findTokenByHash(db, 'h1'), null)
  t.same(await access.listTokens(db), [{ ...token, revokedAt: later(1) }])
})

forEachDialect(t, 'numbers are never given twice', async (t, db) => {
  const numbers = await Promise.all(range(1, 10).map(() => nextNumber(db, 'rule/a')))
  t.same(
    numbers.toSorted((a, b) => a - b),
    range(1, 10)
  )
  t.equal(await nextNumber(db, 'rule/b'), 1)
})
