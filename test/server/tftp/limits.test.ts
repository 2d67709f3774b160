// How much one address may ask, who gets a place, and how much is in memory at once.

import t from 'tap'
import { createLimits } from '../../../server/tftp/limits.ts'
import { createPlaces, type Held } from '../../../server/tftp/places.ts'
import { createShare } from '../../../server/tftp/share.ts'

function clock(): { now: () => Date; pass: (ms: number) => void } {
  let at = Date.UTC(2026, 0, 1)
  return { now: () => new Date(at), pass: ms => void (at += ms) }
}

function count(times: number, admit: () => boolean): number {
  return Array.from({ length: times }, admit).filter(Boolean).length
}

t.test('requests that nobody answers for: 64, then 10 a second', async t => {
  const { now, pass } = clock()
  const limits = createLimits(now)
  const ask = (): boolean => limits.admit('192.0.2.1')
  t.equal(count(1000, ask), 64)
  pass(1000)
  t.equal(count(1000, ask), 10)
  t.equal(
    count(1, () => limits.admit('192.0.2.2')),
    1,
    'another address has its own'
  )
  pass(-5000)
  t.equal(count(10, ask), 0, 'a clock that is set back gives nothing')
  pass(3_600_000)
  t.equal(count(1000, ask), 64, 'never more than at first')
})

t.test('requests of one who answers: 631 at once, then 100 a second', async t => {
  const { now, pass } = clock()
  const limits = createLimits(now)
  const ask = (): boolean => {
    const isIn = limits.admit('192.0.2.1')
    if (isIn) limits.refund('192.0.2.1')
    return isIn
  }
  t.equal(count(1000, ask), 631)
  pass(1000)
  t.equal(count(1000, ask), 100)
})

t.test('addresses without end take no memory without end', async t => {
  const limits = createLimits(clock().now)
  t.equal(
    count(64, () => limits.admit('192.0.2.1')),
    64
  )
  for (let n = 0; n < 10_000; n++) limits.admit(`10.${n >>> 16}.${(n >>> 8) & 255}.${n & 255}`)
  t.equal(limits.admit('192.0.2.1'), true, 'who was there first is forgotten first')
  limits.refund('203.0.113.1')
})

function stopped(held: Held): () => number {
  let stops = 0
  held.carriage = { ended: Promise.resolve('stopped'), repeat() {}, stop: () => void (stops += 1) }
  return () => stops
}

t.test('places: eight for an address, one for a port', async t => {
  const places = createPlaces()
  const peer = (port: number) => ({ address: '192.0.2.1', port })
  const held = Array.from({ length: 8 }, (_, n) => places.hold(peer(n), Buffer.of(n))!)
  t.equal(places.hold(peer(8), Buffer.of(8)), null)
  const stops = stopped(held[3]!)
  const again = places.hold(peer(3), Buffer.of(99))
  t.ok(again, 'the same port begins anew')
  t.equal(stops(), 1)
  t.equal(held[3]!.state, 'given up')
  places.leave(held[3]!)
  t.equal(places.find(peer(3)), again, 'what was given up leaves nothing that is not its own')
  t.equal(places.size(), 8)
  places.leave(held[0]!)
  t.ok(places.hold(peer(8), Buffer.of(8)))
  places.stopAll()
  t.equal(places.size(), 0)
})

t.test('places: who never answered makes room, who answered does not', async t => {
  const places = createPlaces()
  const peer = (n: number) => ({ address: `10.0.${n >>> 8}.${n & 255}`, port: 1024 })
  const held = Array.from({ length: 2048 }, (_, n) => places.hold(peer(n), Buffer.of(1))!)
  places.prove(held[0]!)
  const stops = [stopped(held[0]!), stopped(held[1]!)]
  t.ok(places.hold(peer(5000), Buffer.of(1)))
  t.same(
    stops.map(each => each()),
    [0, 1]
  )
  t.equal(held[1]!.state, 'crowded out')
  t.equal(places.size(), 2048)
  places.prove(held[1]!)
  t.equal(held[1]!.state, 'crowded out', 'too late')
  for (const each of held) places.prove(each)
  places.prove(places.find(peer(5000))!)
  t.equal(places.hold(peer(5001), Buffer.of(1)), null)
})

t.test('files on their way: half a GiB of different ones, any number of the same', async t => {
  const share = createShare()
  const [large, other, small] = [400, 200, 1].map(mib => Buffer.from(new ArrayBuffer(mib << 20)))
  for (let n = 0; n < 100; n++) t.equal(share.take(large!), true)
  t.equal(share.take(other!), false)
  t.equal(share.take(small!), true)
  for (let n = 0; n < 100; n++) share.give(large!)
  t.equal(share.take(other!), true)
  t.equal(share.content(other!, 'netascii'), null, 'no text is that long')
  const text = Buffer.from('a\n')
  t.equal(share.content(text, 'octet'), text)
  t.equal(share.content(text, 'netascii'), share.content(text, 'netascii'), 'converted once')
  t.equal(String(share.content(text, 'netascii')), 'a\r\n')
})
