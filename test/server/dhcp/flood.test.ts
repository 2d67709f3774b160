// 100,000 invented hardware addresses against the server's receive path and a real store, with a pool of 1,000: known
// machines get, renew and keep their addresses, nothing grows, and it is shown for what it is.

import t, { type Test } from 'tap'
import { createBatches } from '../../../server/core/batches.ts'
import type { Lease } from '../../../server/core/allocation.ts'
import { knowIn, openSubnets, type Subnet } from '../../../server/dhcp/context.ts'
import { decodePacket, encodePacket, messageType, type Packet } from '../../../server/dhcp/codec/packet.ts'
import { listKnownMacs } from '../../../server/store/known-machines.ts'
import { listLeases, saveLeases } from '../../../server/store/leases.ts'
import { createMachine, moveMachine } from '../../../server/store/machines.ts'
import { memoryDatabase } from '../../helpers/database.ts'
import { type Bench, liveBytes, openBench } from '../../helpers/dhcp-listener.ts'
import { packetOf } from '../../lab/dhcp-client.ts'

const start = new Date('2026-01-02T03:04:05Z')
const STRANGERS = 100_000
const POOL = 1000
const config = {
  subnet: '10.77.0.0/22',
  pool: { first: '10.77.0.10', last: '10.77.3.241' },
  gateway: null,
  dns: [],
  domain: null,
  leaseSeconds: 3600
}

interface Rack {
  readonly bench: Bench
  readonly subnet: Subnet
  readonly clock: { now: Date }
  readonly leases: () => Promise<Lease[]>
}

async function open(t: Test, leases: readonly Lease[] = []): Promise<Rack> {
  const db = await memoryDatabase(t)
  await saveLeases(db, leases)
  const clock = { now: start }
  const [subnet] = openSubnets([config], ['10.77.0.1'], leases)
  const { add: save } = createBatches<Lease>(128, batch => saveLeases(db, batch))
  const bench = await openBench(t, { mode: 'authoritative', subnets: [subnet!], clock, save })
  return { bench, subnet: subnet!, clock, leases: () => listLeases(db) }
}

const macOf = (prefix: string, i: number): string =>
  `${prefix}:${[i >> 16, (i >> 8) & 255, i & 255].map(byte => byte.toString(16).padStart(2, '0')).join(':')}`
const stranger = (i: number): string => macOf('02:00:66', i)
const known = (i: number): string => macOf('52:54:00', i)

function ask(mac: string, type: 'discover' | 'request', options: Packet['options'] = {}, using = '0.0.0.0'): Buffer {
  const packet = packetOf({ mac, asker: 'uefi-pxe' })
  return encodePacket({
    ...packet,
    clientAddress: using,
    options: { ...packet.options, messageType: messageType[type], ...options }
  })
}

const templates = {
  discover: ask(stranger(0), 'discover'),
  request: ask(stranger(0), 'request', selecting('10.77.0.0'))
}

function selecting(requestedAddress: string): Packet['options'] {
  return { serverId: '10.77.0.1', requestedAddress }
}

/** The same packets, made quickly: only who asks, and for what, is written anew. */
function strange(i: number, offered?: Buffer): Buffer {
  const bytes = Buffer.from(offered === undefined ? templates.discover : templates.request)
  bytes.write(stranger(i).replaceAll(':', ''), 28, 'hex')
  if (offered !== undefined) offered.copy(bytes, bytes.indexOf(Buffer.of(50, 4, 10, 77, 0, 0)) + 2)
  return bytes
}

/** The seconds of the lease that it got; 0 for an offer that it leaves; null when it got none. */
async function flood(bench: Bench, i: number, kind: 'DISCOVER' | 'DISCOVER and REQUEST'): Promise<number | null> {
  const offer = await bench.hear(strange(i))
  if (offer === null || kind === 'DISCOVER') return offer === null ? null : 0
  const ack = await bench.hear(strange(i, offer.bytes.subarray(16, 20)))
  return ack === null ? null : (decodePacket(ack.bytes).options.leaseSeconds ?? null)
}

async function take(bench: Bench, mac: string): Promise<Packet | null> {
  const offer = await bench.hear(ask(mac, 'discover'))
  if (offer === null) return null
  const requestedAddress = decodePacket(offer.bytes).yourAddress
  const ack = await bench.hear(ask(mac, 'request', { serverId: '10.77.0.1', requestedAddress }))
  return ack === null ? null : decodePacket(ack.bytes)
}

const leaseOf = (i: number, seconds: number): Lease => ({
  address: `10.77.0.${10 + i}`,
  mac: known(i),
  hostname: null,
  grantedAt: start,
  expiresAt: new Date(start.getTime() + seconds * 1000),
  state: 'bound'
})

// Ten seconds of work, on a machine that may have other things to do.
t.setTimeout(180_000)

for (const kind of ['DISCOVER', 'DISCOVER and REQUEST'] as const) {
  t.test(`100,000 strangers: ${kind}`, async t => {
    // 0–9 have a lease that lives, 10–19 one that ends at once, 20–29 never had one.
    const leases = Array.from({ length: 20 }, (_, i) => leaseOf(i, i < 10 ? 600 : 1))
    const { bench, subnet, clock, leases: stored } = await open(t, leases)
    knowIn(
      [subnet],
      Array.from({ length: 30 }, (_, i) => [known(i)])
    )
    let given = 0
    let short = 0
    let before = 0
    for (let i = 0; i < STRANGERS; i++) {
      clock.now = new Date(start.getTime() + 2000 + i * 2) // 500 a second, for over three minutes
      const seconds = await flood(bench, i, kind)
      if (seconds !== null) given += 1
      if (seconds !== null && seconds > 0 && seconds <= 300) short += 1
      if (i === 20_000) before = await liveBytes()
      if (i % 5000 === 4999) {
        const n = Math.floor(i / 5000)
        const newcomer = await take(bench, known(10 + n))
        const want = n < 10 ? leaseOf(10 + n, 0).address : /^10\.77\.[0-3]\.\d+$/
        t.match(
          newcomer,
          { yourAddress: want, options: { messageType: messageType.ack, leaseSeconds: 3600 } },
          `known ${n}`
        )
        const own = leaseOf(n % 10, 0).address
        const renewed = await bench.hear(ask(known(n % 10), 'request', {}, own))
        t.match(decodePacket(renewed!.bytes), { yourAddress: own, options: { messageType: messageType.ack } }, 'renews')
      }
    }
    const grown = (await liveBytes()) - before
    const { index } = subnet
    t.comment(JSON.stringify({ given, short, grown, ...index.piles.held }))
    t.ok(grown < 8 * 1024 * 1024, `${grown} bytes more after 80,000 further strangers`)
    t.ok(index.byAddress.size <= POOL && index.byMac.size <= POOL)
    t.ok(index.expiries.heap.length <= 2 * POOL + 64)
    t.ok(index.pressure.macs.size <= 2000)
    t.ok((await stored()).length <= POOL, 'rows')
    t.same(bench.bugs, [])
    if (kind === 'DISCOVER') t.ok(given > 3 * POOL, 'offers that nobody takes are free again in ten seconds')
    else t.ok(short > POOL / 3 && short <= given, 'more than half of the pool is given for five minutes at most')

    const told = bench.events.filter(({ type }) => type === 'dhcp.flood')
    t.match(
      told,
      [{ level: 'warning', message: /unknown machines .* 10\.77\.0\.0\/22/, detail: { known: 30 } }],
      'once'
    )
    t.match(bench.lookout.notices(), [{ about: 'flood', level: 'warning' }])
    const chatter = bench.events.filter(({ mac }) => mac?.startsWith('02:00:66') === true).length
    t.ok(chatter < 10_000, `${chatter} events of strangers, and then silence`)
    t.ok(
      bench.events.some(({ mac, type }) => mac === known(29) && type === 'dhcp.ack'),
      'known machines have their story'
    )

    clock.now = new Date(clock.now.getTime() + 10 * 60_000)
    t.same(bench.lookout.notices(), [], 'it is over')
    const after = await take(bench, macOf('02:00:77', 1))
    t.match(after, { options: { messageType: messageType.ack, leaseSeconds: 3600 } }, 'a new machine is served as ever')
    t.match(bench.events.filter(({ type }) => type === 'dhcp.flood')[1], { message: /is over, after \d+ min/ })
  })
}

t.test('a new rack of 1,000 in a large pool is no flood', async t => {
  const clock = { now: start }
  const large = { ...config, subnet: '10.77.0.0/16', pool: { first: '10.77.1.0', last: '10.77.254.255' } }
  const [subnet] = openSubnets([large], ['10.77.0.1'], [])
  const bench = await openBench(t, { mode: 'authoritative', subnets: [subnet!], clock })
  const given = new Set<string>()
  for (let i = 0; i < 1000; i++) {
    const ack = await take(bench, stranger(i))
    given.add(ack!.yourAddress)
    if (ack!.options.leaseSeconds !== 3600) t.fail('a short lease')
  }
  t.equal(given.size, 1000)
  t.same(bench.lookout.notices(), [])
  t.same(
    bench.events.filter(({ type }) => type === 'dhcp.flood'),
    []
  )
})

t.test('who is known: let in by a person or a rule, and only while they are in', async t => {
  const db = await memoryDatabase(t)
  const hardware = {
    uuid: null,
    serial: null,
    manufacturer: null,
    product: null,
    asset: null,
    arch: null,
    platform: null
  }
  await createMachine(db, { id: 'm-1', macs: ['52:54:00:00:00:01' as never], hardware }, start)
  t.same(await listKnownMacs(db), [])
  await moveMachine(db, 'm-1', 'discovered', 'approved', {}, start)
  t.same(await listKnownMacs(db), [['52:54:00:00:00:01']])
  await moveMachine(db, 'm-1', 'approved', 'retired', {}, start)
  t.same(await listKnownMacs(db), [])
})
