// The lease index: who gets which address, and that the price of asking does not grow.

import t from 'tap'
import {
  addressOf,
  createIndex,
  findAddress,
  hold,
  isKeptBack,
  isPressing,
  know,
  type Lease,
  mayHold,
  meetAsker,
  record
} from '../../../server/core/allocation.ts'
import { reserve } from '../../../server/core/reservations.ts'
import { toAddress, toNumber } from '../../../server/core/ipv4.ts'
import { seeded } from '../../helpers/random.ts'

const start = new Date('2026-01-02T03:04:05Z')
const after = (seconds: number): Date => new Date(start.getTime() + seconds * 1000)
const lease = (address: string, mac: string, seconds: number, state: Lease['state'] = 'bound'): Lease => ({
  address,
  mac,
  hostname: null,
  grantedAt: start,
  expiresAt: after(seconds),
  state
})
const pool = { first: '10.0.0.1', last: '10.0.0.3' }

const rows: Array<[name: string, leases: Lease[], mac: string, wish: string | null, at: number, want: string | null]> =
  [
    ['the first that was never used', [], 'a', null, 0, '10.0.0.1'],
    ['the next one', [lease('10.0.0.1', 'b', 60)], 'a', null, 0, '10.0.0.2'],
    ['never used comes before expired', [lease('10.0.0.1', 'b', 60)], 'a', null, 99, '10.0.0.2'],
    ['its own', [lease('10.0.0.2', 'a', 60)], 'a', null, 0, '10.0.0.2'],
    ['its own, long expired', [lease('10.0.0.2', 'a', 60)], 'a', null, 9999, '10.0.0.2'],
    ['the wish, when free', [], 'a', '10.0.0.3', 0, '10.0.0.3'],
    ['the wish, when its lease has expired', [lease('10.0.0.3', 'b', 60)], 'a', '10.0.0.3', 60, '10.0.0.3'],
    ['not the wish of another', [lease('10.0.0.3', 'b', 60)], 'a', '10.0.0.3', 59, '10.0.0.1'],
    ['not a wish outside', [], 'a', '10.0.0.9', 0, '10.0.0.1'],
    [
      'the one that expired first',
      [lease('10.0.0.1', 'b', 60), lease('10.0.0.2', 'c', 30), lease('10.0.0.3', 'd', 50)],
      'a',
      null,
      55,
      '10.0.0.2'
    ],
    [
      'none when all are held',
      [lease('10.0.0.1', 'b', 60), lease('10.0.0.2', 'c', 60), lease('10.0.0.3', 'd', 60)],
      'a',
      null,
      0,
      null
    ],
    ['not one that rests', [lease('10.0.0.1', 'a', 60, 'declined')], 'a', '10.0.0.1', 0, '10.0.0.2'],
    ['a lease outside the pool is forgotten', [lease('10.9.9.9', 'a', 60)], 'a', null, 0, '10.0.0.1']
  ]
for (const [name, leases, mac, wish, at, want] of rows) {
  t.test(name, async t => t.equal(findAddress(createIndex(pool, [], leases), mac, wish, after(at)), want))
}

t.test('excluded addresses are nobody’s', async t => {
  const index = createIndex(pool, ['10.0.0.1', '10.0.0.2'], [])
  t.equal(findAddress(index, 'a', '10.0.0.1', start), '10.0.0.3')
  t.equal(mayHold(index, 'a', '10.0.0.2', start), false)
})

t.test('an address that is kept for a machine', async t => {
  const kept = { key: 'a', address: '10.0.0.1', machine: 'r1' }
  const outside = { key: 'a', address: '10.0.0.77', machine: 'r1' }
  const rows: Array<
    [name: string, keep: object[], leases: Lease[], mac: string, wish: string | null, at: number, want: string | null]
  > = [
    ['it gets it', [kept], [], 'a', null, 0, '10.0.0.1'],
    ['and no other, whatever it wishes', [kept], [], 'a', '10.0.0.2', 0, '10.0.0.1'],
    ['and not the one it had', [kept], [lease('10.0.0.2', 'a', 60)], 'a', null, 0, '10.0.0.1'],
    ['outside the pool', [outside], [], 'a', null, 0, '10.0.0.77'],
    ['outside the pool, leased before', [outside], [lease('10.0.0.77', 'a', 60)], 'a', null, 0, '10.0.0.77'],
    ['another is not offered it', [kept], [], 'b', null, 0, '10.0.0.2'],
    ['nor by a wish', [kept], [], 'b', '10.0.0.1', 0, '10.0.0.2'],
    ['nor as the one it had', [kept], [lease('10.0.0.1', 'b', 60)], 'b', null, 0, '10.0.0.2'],
    ['nor as an expired one', [kept], [lease('10.0.0.1', 'c', 1)], 'b', null, 99, '10.0.0.2'],
    [
      'nor when all others are held',
      [kept],
      [lease('10.0.0.1', 'a', 1), lease('10.0.0.2', 'c', 600), lease('10.0.0.3', 'd', 600)],
      'b',
      null,
      99,
      null
    ],
    ['nothing while another has it', [kept], [lease('10.0.0.1', 'b', 60)], 'a', null, 59, null],
    ['it when that lease is over', [kept], [lease('10.0.0.1', 'b', 60)], 'a', null, 60, '10.0.0.1'],
    ['nothing while it rests', [kept], [lease('10.0.0.1', 'a', 60, 'declined')], 'a', null, 0, null],
    ['one of two cards', [kept, { key: 'a2', address: '10.0.0.1', machine: 'r1' }], [], 'a2', null, 0, '10.0.0.1']
  ]
  for (const [name, keep, leases, mac, wish, at, want] of rows) {
    t.equal(findAddress(createIndex(pool, [], leases, keep as never), mac, wish, after(at)), want, name)
  }
  const index = createIndex(pool, [], [lease('10.0.0.2', 'b', 60)], [kept])
  t.equal(mayHold(index, 'a', '10.0.0.3', start), false, 'it may hold no other')
  t.equal(mayHold(index, 'b', '10.0.0.1', start), false)
  reserve(index, [{ key: 'a', address: '10.0.0.2', machine: 'r1' }])
  t.equal(mayHold(index, 'b', '10.0.0.2', start), false, 'who has it does not get it again')
  t.equal(findAddress(index, 'a', null, start), null, 'but it is not taken away')
  t.equal(findAddress(index, 'b', null, start), '10.0.0.1')
})

t.test('reservations that come and go: no address is lost, none of another given', async t => {
  const random = seeded(11)
  const index = createIndex(pool, [], [])
  const macs = ['a', 'b', 'c']
  for (let i = 0; i < 3000; i++) {
    const address = `10.0.0.${1 + Math.floor(random() * 4)}` // one outside
    const owner = macs[Math.floor(random() * 3)]!
    reserve(index, random() < 0.5 ? [] : [{ key: owner, address, machine: owner }])
    const mac = macs[Math.floor(random() * 3)]!
    const given = findAddress(index, mac, null, after(i * 10))
    const kept = [...index.reserved.byKey].find(([, { address }]) => address !== null && toAddress(address) === given)
    if (given !== null && kept !== undefined && kept[0] !== mac) t.fail(`step ${i}: ${given} of ${kept[0]} to ${mac}`)
    if (given !== null) record(index, { ...lease(given, mac, 0), expiresAt: after(i * 10 + random() * 9) })
  }
  reserve(index, [])
  const all = ['x', 'y', 'z'].map(mac => {
    const given = findAddress(index, mac, null, after(99_999))!
    record(index, lease(given, mac, 999_999))
    return given
  })
  t.same(all.toSorted(), ['10.0.0.1', '10.0.0.2', '10.0.0.3'])
})

t.test('an offer never shortens a lease, and a machine that moves leaves its address', async t => {
  const index = createIndex(pool, [], [lease('10.0.0.1', 'a', 1000)])
  hold(index, 'a', '10.0.0.1', after(60))
  t.equal(mayHold(index, 'b', '10.0.0.1', after(500)), false)
  hold(index, 'a', '10.0.0.2', after(60))
  t.equal(addressOf(index, 'a'), '10.0.0.2')
  t.equal(mayHold(index, 'b', '10.0.0.1', start), true)
})

const twenty = { first: '10.0.0.1', last: '10.0.0.20' }

t.test('a flood of strangers leaves known machines their addresses', async t => {
  const index = createIndex(twenty, [], [lease('10.0.0.1', 'known', 10), lease('10.0.0.2', 'gone', 10)])
  know(index, new Set(['known', 'unseen 1', 'unseen 2']), 2)
  t.equal(isPressing(index, 'x0', after(60)), false)
  const given = Array.from({ length: 1000 }, (_, i) => {
    meetAsker(index, `x${i}`, after(60))
    const address = findAddress(index, `x${i}`, i % 2 === 0 ? null : '10.0.0.1', after(60))
    if (address !== null) hold(index, `x${i}`, address, after(70))
    return address
  })
  t.equal(isPressing(index, 'x0', after(60)), true)
  t.equal(isPressing(index, 'known', after(60)), false)
  t.equal(given.filter(address => address !== null).length, 17, 'all but those of three known machines')
  t.notOk(given.includes('10.0.0.1'), 'though its lease is over')
  t.equal(mayHold(index, 'x1', '10.0.0.1', after(60)), false)
  t.equal(mayHold(index, 'x999', '10.0.0.19', after(60)), false, 'nor by asking without an offer')
  t.equal(mayHold(index, 'x0', '10.0.0.1', after(60)), false, 'nor in exchange for the one it has')
  t.equal(isKeptBack(index, 'x999', null, after(60)), true)
  for (const mac of ['known', 'unseen 1', 'unseen 2']) {
    const address = findAddress(index, mac, null, after(60))
    t.ok(address, mac)
    record(index, lease(address!, mac, 600))
  }
  t.equal(index.byMac.size, 20)
  t.equal(index.byAddress.size, 20)
})

t.test('what a stranger was offered and has not taken goes to a known machine; what it has taken does not', async t => {
  const index = createIndex(pool, [], [lease('10.0.0.1', 'x1', 600), lease('10.0.0.2', 'x2', 600)])
  know(index, new Set(['known']), 0)
  t.equal(findAddress(index, 'x3', null, start), '10.0.0.3')
  hold(index, 'x3', '10.0.0.3', after(60))
  t.equal(findAddress(index, 'x4', null, start), null)
  t.equal(findAddress(index, 'known', null, start), '10.0.0.3')
  record(index, lease('10.0.0.3', 'x3', 600))
  t.equal(findAddress(index, 'known', null, start), null, 'a lease that lives is never given again')
  hold(index, 'x3', '10.0.0.3', after(60))
  t.equal(findAddress(index, 'known', null, start), null, 'nor one whose machine looks around again')
})

t.test('while there are few strangers, an address that is free is anybody’s', async t => {
  const leases = Array.from({ length: 20 }, (_, i) => lease(`10.0.0.${i + 1}`, `known ${i}`, i < 10 ? 10 : 600))
  const index = createIndex(twenty, [], leases)
  know(index, new Set(leases.map(({ mac }) => mac)), 0)
  meetAsker(index, 'new', after(60))
  t.equal(findAddress(index, 'new', null, after(60)), '10.0.0.1')
  record(index, lease('10.0.0.1', 'new', 600))
  t.equal(findAddress(index, 'known 0', null, after(60)), '10.0.0.2')
})

t.test('a clock that is put back frees nothing', async t => {
  const index = createIndex(
    pool,
    [],
    [lease('10.0.0.1', 'b', 60), lease('10.0.0.2', 'c', 60), lease('10.0.0.3', 'd', 60)]
  )
  t.equal(findAddress(index, 'a', null, after(61)), '10.0.0.1')
  t.equal(findAddress(index, 'a', null, after(1)), null)
  t.equal(findAddress(index, 'a', null, after(61)), '10.0.0.1')
})

t.test('addresses as numbers', async t => {
  for (const text of ['0.0.0.0', '10.0.0.1', '255.255.255.255']) t.equal(toAddress(toNumber(text)), text)
  for (const text of ['', '1.2.3', '1.2.3.256', 'a.b.c.d']) t.throws(() => toNumber(text))
})

t.test('whatever happens, no address has two holders', async t => {
  const random = seeded(7)
  const index = createIndex({ first: '10.0.0.1', last: '10.0.0.40' }, [], [])
  const holders = new Map<string, { mac: string; until: number }>()
  for (let i = 0; i < 20_000; i++) {
    const at = after(i)
    const mac = `m${Math.floor(random() * 80)}`
    const address = findAddress(index, mac, random() < 0.3 ? `10.0.0.${Math.floor(random() * 50)}` : null, at)
    if (address === null) continue
    const held = holders.get(address)
    if (held !== undefined && held.mac !== mac && held.until > at.getTime()) t.fail(`step ${i}: ${address} given twice`)
    const until = after(i + Math.floor(random() * 100))
    record(index, { ...lease(address, mac, 0), expiresAt: until })
    for (const [key, value] of holders) if (value.mac === mac) holders.delete(key)
    holders.set(address, { mac, until: until.getTime() })
  }
  t.ok(index.expiries.heap.length <= 40 * 2 + 64, 'the queue stays small')
})

t.test('sixty thousand leases cost no more each than six hundred', async t => {
  const perLease = (count: number): number => {
    const index = createIndex({ first: '10.0.0.0', last: '10.0.255.255' }, [], [])
    const began = performance.now()
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < count; i++)
        record(index, lease(findAddress(index, `m${i}`, null, start)!, `m${i}`, 60 + round))
    }
    return (performance.now() - began) / count
  }
  perLease(6000)
  t.ok(perLease(60_000) < 20 * perLease(6000) + 0.01)
})
