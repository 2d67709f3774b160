// Machines, their addresses and their leases, on both dialects.

import t from 'tap'
import type { Hardware } from '../../../server/contract/machine.ts'
import type { Mac } from '../../../server/contract/net.ts'
import type { Lease } from '../../../server/core/allocation.ts'
import { identify } from '../../../server/core/identity.ts'
import { listLeases, saveLease, saveLeases } from '../../../server/store/leases.ts'
import * as machines from '../../../server/store/machines.ts'
import type { Db } from '../../../server/store/schema.ts'
import { forEachDialect, later, noon } from '../../helpers/database.ts'

const mac = (n: number): Mac =>
  `52:54:00:00:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}` as Mac
const uuid = (n: number): string => `4c4c4544-0000-1000-8000-${String(n).padStart(12, '0')}`
const hardware: Hardware = {
  uuid: null,
  serial: null,
  manufacturer: 'QEMU',
  product: null,
  asset: null,
  arch: 'x86_64',
  platform: 'uefi'
}
const seen = (n: number, facts: Partial<Hardware> = {}) => ({
  id: `m-0000000${n}`,
  macs: [mac(n)],
  hardware: { ...hardware, ...facts }
})
const create = async (db: Db, n: number, facts: Partial<Hardware> = {}) =>
  (await machines.createMachine(db, seen(n, facts), noon))!

forEachDialect(t, 'a machine as it was first seen', async (t, db) => {
  const machine = await create(db, 1, { uuid: uuid(1), serial: 'S1' })
  t.match(machine, {
    id: 'm-00000001',
    name: null,
    macs: [mac(1)],
    hardware: { uuid: uuid(1), serial: 'S1', manufacturer: 'QEMU', platform: 'uefi' },
    state: 'discovered',
    since: noon.toISOString(),
    next: /approve/,
    armed: false,
    wipe: false,
    updatedAt: noon.toISOString()
  })
  t.same(await machines.getMachine(db, machine.id), machine)
  t.same(await machines.listMachines(db), [machine])
  t.same(await machines.listMachines(db, { state: 'ready' }), [])
  t.same(await machines.listMachines(db, { state: 'discovered', profile: 'x' }), [])
  await t.rejects(machines.getMachine(db, 'm-x'), { code: 'not_found' })
})

forEachDialect(t, 'the same MAC seen twice at once is one machine', async (t, db) => {
  const twice = await Promise.all(
    ['m-aaaaaaaa', 'm-bbbbbbbb'].map(id => machines.createMachine(db, { ...seen(1), id }, noon))
  )
  t.equal(twice.filter(machine => machine === null).length, 1)
  t.equal((await machines.listMachines(db)).length, 1)
})

forEachDialect(t, 'candidates share evidence', async (t, db) => {
  await create(db, 1, { uuid: uuid(1), serial: 'S1' })
  await create(db, 2, { serial: 'S2' })
  await create(db, 3, { uuid: uuid(3), serial: 'S2' })
  await create(db, 4, { uuid: '00000000-0000-0000-0000-000000000000', serial: 'None' })
  const rows: Array<[name: string, macs: number[], uuid: string | null, serial: string | null, ids: number[]]> = [
    ['nothing in common', [9], uuid(9), 'S9', []],
    ['by MAC', [9, 1], null, null, [1]],
    ['by UUID, whatever the spelling', [9], uuid(1).toUpperCase(), null, [1]],
    ['by serial, of machines without a UUID', [9], null, 'S2', [2]],
    ['not by blank values', [9], '00000000-0000-0000-0000-000000000000', 'None', []],
    ['by MAC and UUID of two machines', [1], uuid(3), null, [1, 3]],
    ['nothing given', [], null, null, []]
  ]
  for (const [name, macs, uuid, serial, ids] of rows) {
    const found = await machines.findCandidates(db, { macs: macs.map(mac), uuid, serial })
    t.same(
      found.map(({ id }) => id).sort(),
      ids.map(n => `m-0000000${n}`),
      name
    )
  }
  const claim = { macs: [mac(1)], uuid: uuid(3), serial: null }
  t.match(identify(claim, await machines.findCandidates(db, claim)), { kind: 'conflict' })
})

forEachDialect(t, 'hostile texts are kept as they can be, bounded, and looked up', async (t, db) => {
  const serial = `"\${x}'\n\0\ud800é漢`.padEnd(9000, '漢')
  const { hardware: kept } = await create(db, 1, { serial, product: `a\0b` })
  t.equal(kept.product, 'a\ufffdb')
  t.ok(Buffer.byteLength(kept.serial!) <= 4096 && kept.serial!.startsWith(`"\${x}'\n\ufffd\ufffdé漢`))
  t.equal((await machines.findCandidates(db, { macs: [], uuid: null, serial })).length, 1)
  for (const ref of ['\0', '\ud800', "' or 1=1", 'x'.repeat(10_000)])
    t.equal(await machines.findMachineByRef(db, ref), null)
})

forEachDialect(t, 'a machine by what a person types', async (t, db) => {
  const { id } = await create(db, 1)
  await machines.updateMachine(db, id, { name: 'worker-1' }, noon)
  for (const ref of [id, 'worker-1', mac(1), mac(1).toUpperCase(), mac(1).replaceAll(':', '')]) {
    t.equal((await machines.findMachineByRef(db, ref))?.id, id, ref)
  }
  for (const ref of ['', 'worker-2', mac(2), 'm-00000002']) t.equal(await machines.findMachineByRef(db, ref), null, ref)
})

forEachDialect(t, 'a machine by its address', async (t, db) => {
  await create(db, 1)
  await create(db, 2)
  await machines.updateMachine(db, 'm-00000001', { address: '10.0.0.7' }, noon)
  t.equal((await machines.findMachineByAddress(db, '10.0.0.7'))?.id, 'm-00000001')
  await machines.updateMachine(db, 'm-00000002', { address: '10.0.0.7' }, noon)
  t.equal((await machines.findMachineByAddress(db, '10.0.0.7'))?.id, 'm-00000002', 'the last who called from it')
  t.equal((await machines.getMachine(db, 'm-00000001')).address, null)
  await saveLease(db, lease('10.0.0.7', 1))
  t.equal((await machines.findMachineByAddress(db, '10.0.0.7'))?.id, 'm-00000001', 'a lease knows better')
  t.equal(await machines.findMachineByAddress(db, '10.0.0.8'), null)
})

forEachDialect(t, 'moves are compare-and-set', async (t, db) => {
  const { id } = await create(db, 1)
  const approve = () => machines.moveMachine(db, id, 'discovered', 'approved', { profile: 'w', armed: true }, later(1))
  const both = await Promise.all([approve(), approve()])
  t.match(
    both.find(machine => machine !== null),
    { state: 'approved', since: later(1).toISOString(), profile: 'w', armed: true }
  )
  t.equal(both.filter(machine => machine === null).length, 1)
  const failed = await machines.moveMachine(
    db,
    id,
    'approved',
    'failed',
    { reason: 'no disk', hardware: { ...hardware, asset: 'A7' } },
    later(2)
  )
  t.match(failed, { reason: 'no disk', hardware: { asset: 'A7' } })
  const again = await machines.moveMachine(db, id, 'failed', 'failed', {}, later(3))
  t.match(again, { reason: 'no disk', since: later(2).toISOString(), updatedAt: later(3).toISOString() })
  t.match(await machines.moveMachine(db, id, 'failed', 'approved', {}, later(4)), { reason: null, profile: 'w' })
  t.equal(await machines.moveMachine(db, 'm-x', 'failed', 'approved', {}, noon), null)
})

forEachDialect(t, 'names are given once', async (t, db) => {
  await create(db, 1)
  await create(db, 2)
  await machines.updateMachine(db, 'm-00000001', { name: 'a' }, noon)
  const want = { code: 'conflict', message: /already called a; choose another name/ }
  await t.rejects(machines.updateMachine(db, 'm-00000002', { name: 'a' }, noon), want)
  await t.rejects(machines.updateMachine(db, 'm-x', { name: 'b' }, noon), { code: 'not_found' })
})

forEachDialect(t, 'more MACs, nobody else’s, and not without end', async (t, db) => {
  await create(db, 1)
  await create(db, 2)
  t.same(await machines.addMacs(db, 'm-00000001', [mac(1), mac(2), mac(3)]), [mac(3)])
  t.same((await machines.getMachine(db, 'm-00000001')).macs, [mac(1), mac(3)])
  await machines.addMacs(
    db,
    'm-00000001',
    Array.from({ length: 100 }, (_, n) => mac(100 + n))
  )
  t.equal((await machines.getMachine(db, 'm-00000001')).macs.length, 32)
})

forEachDialect(t, 'reported steps are counted once', async (t, db) => {
  const { id } = await create(db, 1)
  const raised = await Promise.all([3, 3].map(seq => machines.raiseReportSeq(db, id, seq)))
  t.equal(raised.filter(Boolean).length, 1)
  t.equal(await machines.raiseReportSeq(db, id, 2), false)
  t.equal(await machines.reportSeq(db, id), 3)
})

function lease(address: string, n: number, more: Partial<Lease> = {}): Lease {
  return { address, mac: mac(n), hostname: null, grantedAt: noon, expiresAt: later(3600), state: 'bound', ...more }
}

forEachDialect(t, 'leases', async (t, db) => {
  const first = lease('10.0.0.100', 1, { hostname: 'é\0' })
  await saveLease(db, first)
  t.same(await listLeases(db), [{ ...first, hostname: 'é\ufffd' }])
  const renewed = lease('10.0.0.100', 1, { expiresAt: later(7200) })
  await saveLease(db, renewed)
  t.same(await listLeases(db), [renewed])
  await t.rejects(saveLease(db, lease('10.0.0.100', 2)), {
    code: 'conflict',
    message: /10\.0\.0\.100 is leased to another/
  })
  t.same(await listLeases(db), [renewed], 'and nothing was lost')
  const moved = lease('10.0.0.101', 1)
  await saveLease(db, moved)
  t.same(await listLeases(db), [moved], 'one address a machine')
  const declined = lease('10.0.0.101', 1, { state: 'declined' })
  await saveLease(db, declined)
  const other = lease('10.0.0.102', 1)
  await saveLease(db, other)
  t.same(await listLeases(db), [declined, other], 'a declined address stays out of use')
  const taken = lease('10.0.0.101', 3, { grantedAt: later(3600), expiresAt: later(9000) })
  await saveLease(db, taken)
  t.same(await listLeases(db), [taken, other], 'an expired one may be given')
})

forEachDialect(t, 'leases of a rack with one commit', async (t, db) => {
  const rack = Array.from({ length: 45 }, (_, n) => lease(`10.0.1.${n + 10}`, n))
  t.same(new Set(await saveLeases(db, rack)), new Set([null]))
  t.same(await listLeases(db), rack)
  const [a, b] = [rack[0]!, rack[1]!]
  const swapped = [
    { ...a, mac: b.mac },
    { ...b, mac: a.mac }
  ]
  t.same(await saveLeases(db, swapped), [null, null], 'two machines change places')
  const renewed = lease(a.address, 1, { expiresAt: later(7200) })
  t.same(await saveLeases(db, [{ ...renewed, hostname: 'early' }, renewed]), [null, null], 'the later one counts')
  t.same((await listLeases(db)).slice(0, 2), [renewed, { ...b, mac: a.mac }])
  const wrong = lease('10.0.1.20', 200)
  const right = lease('10.0.1.200', 201)
  const results = await saveLeases(db, [lease('10.0.1.201', 2), wrong, right])
  t.same([results[0], results[2]], [null, null], 'a conflict is its own')
  t.match(results[1], { code: 'conflict', message: /^10\.0\.1\.20 is leased to another machine/ })
  const held = await listLeases(db)
  t.equal(held.length, 46)
  t.match(
    held.find(({ address }) => address === '10.0.1.20'),
    { mac: mac(10) }
  )
})
