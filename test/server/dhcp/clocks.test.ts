// Leases through clocks that are set, restarts and losses: first each rule by itself, then a model of many clients on
// two networks behind relays, each with a clock of its own, against the engine and a store that refuses as the real
// one does.

import t, { type Test } from 'tap'
import { hold, type Lease, record } from '../../../server/core/allocation.ts'
import { recount, watchClock } from '../../../server/dhcp/leases/clock.ts'
import { openSubnets, type Subnet } from '../../../server/dhcp/context.ts'
import { decide } from '../../../server/dhcp/engine.ts'
import { createKeeper } from '../../../server/dhcp/leases/keeper.ts'
import type { Options } from '../../../server/dhcp/codec/options.ts'
import { messageType, type MessageName, type Packet } from '../../../server/dhcp/codec/packet.ts'
import { silentLog } from '../../../server/log.ts'
import { listLeases, saveLease, shiftLeases } from '../../../server/store/leases.ts'
import { contextOf, now, second, subnet } from '../../helpers/dhcp.ts'
import { forEachDialect, later, noon } from '../../helpers/database.ts'
import { seeded } from '../../helpers/random.ts'
import { packetOf } from '../../lab/dhcp-client.ts'

const DAY = 86_400_000

t.test('the clock says when it was set, and not when time has passed', async t => {
  const jumps: number[] = []
  let [wall, elapsed] = [now.getTime(), 5000]
  const read = watchClock(
    () => new Date(wall),
    () => elapsed,
    ms => jumps.push(ms)
  )
  const pass = (ms: number, set = 0): void => {
    elapsed += ms
    wall += ms + set
    t.equal(read().getTime(), wall)
  }
  pass(60_000)
  pass(3 * DAY)
  pass(1000, 1500) // as a time server does it
  t.same(jumps, [])
  pass(1000, -3 * DAY)
  pass(1000)
  pass(1000, 3 * DAY)
  t.same(jumps, [1500 - 3 * DAY, 3 * DAY])
})

t.test('a lease from the future lasts its whole time once more', async t => {
  const lease: Lease = {
    address: '10.77.0.100',
    mac: 'a',
    hostname: null,
    grantedAt: now,
    expiresAt: later(9),
    state: 'bound'
  }
  const granted = (at: number, until: number): Lease => ({
    ...lease,
    grantedAt: new Date(at),
    expiresAt: new Date(until)
  })
  const base = now.getTime()
  const rows: Array<[name: string, given: Lease, want: number]> = [
    ['from before', granted(base - 1000, base + 9000), base + 9000],
    ['long over', granted(base - DAY, base - 1000), base - 1000],
    ['the clock was set back by three days', granted(base + 3 * DAY, base + 3 * DAY + 600_000), base + 600_000],
    ['released then', granted(base + DAY, base + DAY), base]
  ]
  for (const [name, given, want] of rows) t.equal(recount(given, now).expiresAt.getTime(), want, name)
})

forEachDialect(t, 'the times of all leases are moved', async (t, db) => {
  const lease: Lease = {
    address: '10.77.0.100',
    mac: 'a',
    hostname: 'h',
    grantedAt: noon,
    expiresAt: later(600),
    state: 'bound'
  }
  await saveLease(db, lease)
  await shiftLeases(db, -3 * DAY)
  const back = (at: Date): Date => new Date(at.getTime() - 3 * DAY)
  t.same(await listLeases(db), [{ ...lease, grantedAt: back(noon), expiresAt: back(later(600)) }])
})

t.test('a renewal never shortens what was promised: its answer may be lost', async t => {
  const mac = '52:54:00:00:00:01'
  const lease: Lease = {
    address: '10.77.0.105',
    mac,
    hostname: null,
    grantedAt: now,
    expiresAt: later(0),
    state: 'bound'
  }
  const promised = new Date(now.getTime() + DAY)
  const context = contextOf({}, [{ ...lease, expiresAt: promised }])
  const base = packetOf({ mac, asker: 'linux' })
  const options = { messageType: messageType.request, ...base.options }
  const decision = decide({ ...base, clientAddress: lease.address, options }, context)
  t.match(decision, { lease: { expiresAt: promised }, packet: { options: { leaseSeconds: 3600 } } })
})

forEachDialect(t, 'what a machine declined, saved once more, takes nothing from it', async (t, db) => {
  const lease: Lease = {
    address: '10.77.0.100',
    mac: 'a',
    hostname: null,
    grantedAt: noon,
    expiresAt: later(600),
    state: 'bound'
  }
  await saveLease(db, { ...lease, state: 'declined' })
  await saveLease(db, { ...lease, address: '10.77.0.101' })
  await saveLease(db, { ...lease, state: 'declined' })
  t.same(
    (await listLeases(db)).map(({ address, state }) => `${address} ${state}`),
    ['10.77.0.100 declined', '10.77.0.101 bound']
  )
})

interface Client {
  readonly mac: string
  relay: number
  /** Its clock: milliseconds since it began. Null while it has no address. */
  lease: { address: string; from: number; until: number } | null
  renews: boolean
}

interface World {
  readonly t: Test
  readonly random: () => number
  readonly stored: Map<string, Lease>
  subnets: Subnet[]
  wall: () => Date
  /** Real time, and by how much the time of day is off. */
  time: number
  off: number
  tally: Record<string, number>
}

const LEASE_SECONDS = 600
const relays = ['10.77.0.9', '10.78.0.9'] as const

/** Starts the server on what the store has. */
async function boot(world: World, poolSize: number): Promise<(lease: Lease) => Promise<void>> {
  const { stored } = world
  const store = {
    list: async () => [...stored.values()],
    async save(lease: Lease) {
      const holder = stored.get(lease.address)
      if (holder !== undefined && holder.mac !== lease.mac && holder.expiresAt > lease.grantedAt) {
        throw new Error(`${lease.address} is ${holder.mac}'s in the store`)
      }
      for (const other of lease.state === 'bound' ? stored.values() : []) {
        if (other.mac === lease.mac && other.state === 'bound') stored.delete(other.address)
      }
      stored.set(lease.address, lease)
    },
    async shift(ms: number) {
      const move = (at: Date): Date => new Date(at.getTime() + ms)
      for (const [key, each] of stored) {
        stored.set(key, { ...each, grantedAt: move(each.grantedAt), expiresAt: move(each.expiresAt) })
      }
    }
  }
  const keeper = createKeeper(store, silentLog)
  const day = (): Date => new Date(now.getTime() + world.time + world.off)
  const configs = [subnet, second].map(({ subnet: cidr, ...rest }) => ({
    ...rest,
    subnet: cidr,
    leaseSeconds: LEASE_SECONDS,
    pool: { first: cidr.replace('.0/24', '.10'), last: cidr.replace('.0/24', `.${9 + poolSize}`) }
  }))
  world.subnets = openSubnets(configs, ['10.77.0.1'], await keeper.open(day()))
  world.wall = watchClock(
    day,
    () => world.time,
    ms => keeper.jump(world.subnets, ms)
  )
  return keeper.save
}

/** One message by the client's relay; null when nobody answers, or the answer is lost. */
async function send(
  world: World,
  save: (lease: Lease) => Promise<void>,
  client: Client,
  [type, options, clientAddress]: [MessageName, Options, string?]
): Promise<Packet | null> {
  const base = packetOf({ mac: client.mac, asker: 'linux' })
  const request: Packet = {
    ...base,
    relay: relays[client.relay]!,
    clientAddress: clientAddress ?? '0.0.0.0',
    options: { messageType: messageType[type], ...base.options, ...options }
  }
  const at = world.wall()
  const place = world.subnets[client.relay]!
  const decision = decide(request, contextOf({ subnet: place, now: at }))
  if (decision.lease !== null) record(place.index, decision.lease)
  if (decision.kind === 'reply' && decision.hold !== null) {
    hold(place.index, client.mac, decision.hold.address, decision.hold.until)
  }
  if (decision.lease !== null) await save(decision.lease)
  const what = decision.kind === 'reply' ? decision.type : 'silence'
  world.tally[`${type} ${what}`] = (world.tally[`${type} ${what}`] ?? 0) + 1
  return decision.kind === 'silence' || world.random() < 0.15 ? null : decision.packet
}

async function act(world: World, save: (lease: Lease) => Promise<void>, client: Client): Promise<void> {
  const { random, t, time } = world
  const own = client.lease
  // Strangers get short leases while they are many.
  const bind = ({ yourAddress: address, options: { leaseSeconds } }: Packet): void => {
    client.lease = { address, from: time, until: time + leaseSeconds! * 1000 }
  }
  if (own === null) {
    if (random() < 0.2) client.relay = 1 - client.relay
    const offer = await send(world, save, client, ['discover', {}])
    if (offer === null || random() < 0.1) return
    const { yourAddress: requestedAddress } = offer
    const ack = await send(world, save, client, ['request', { serverId: '10.77.0.1', requestedAddress }])
    if (ack === null || ack.options.messageType !== messageType.ack) return
    if (random() > 0.03) return bind(ack)
    await send(world, save, client, ['decline', { serverId: '10.77.0.1', requestedAddress }])
    return
  }
  if (random() < 0.02) client.renews = !client.renews
  if (random() < 0.02) {
    await send(world, save, client, ['release', { serverId: '10.77.0.1' }, own.address])
    client.lease = null
    return
  }
  if (!client.renews || time < own.from + (own.until - own.from) / 5) return
  // Renewing, or after a reboot: neither may lose what it has.
  const rebooted = random() < 0.3
  const reply = await send(
    world,
    save,
    client,
    rebooted ? ['request', { requestedAddress: own.address }] : ['request', {}, own.address]
  )
  if (reply === null) return
  t.equal(reply.options.messageType, messageType.ack, `${client.mac} keeps ${own.address}`)
  bind(reply)
}

async function simulate(
  t: Test,
  seed: number,
  poolSize: number,
  asleep: 'set forward too' | 'set back'
): Promise<void> {
  const random = seeded(seed)
  const world: World = { t, random, stored: new Map(), subnets: [], wall: () => now, time: 0, off: 0, tally: {} }
  const clients = Array.from({ length: 20 }, (_, i): Client => {
    const mac = `52:54:00:00:00:${String(i).padStart(2, '0')}`
    return { mac, relay: i % 2, lease: null, renews: random() < 0.6 }
  })
  let save = await boot(world, poolSize)
  for (let step = 0; step < 4000; step++) {
    world.time += Math.floor(random() * 12_000)
    for (const client of clients) if (client.lease !== null && client.lease.until <= world.time) client.lease = null
    const chance = random()
    if (chance < 0.005) {
      world.off += (random() - 0.5) * 10 * DAY
      world.wall()
    } else if (chance < 0.01) {
      // The server is down for a while, and its clock is set meanwhile.
      world.time += Math.floor(random() * 30_000)
      world.off += random() < 0.5 ? 0 : (random() - (asleep === 'set back' ? 1 : 0.5)) * 10 * DAY
      save = await boot(world, poolSize)
    }
    await act(world, save, clients[Math.floor(random() * clients.length)]!)
    const live = clients.flatMap(({ lease }) => (lease !== null && lease.until > world.time ? [lease.address] : []))
    if (new Set(live).size !== live.length) {
      t.fail(`step ${step}: an address has two clients: ${live.toSorted().join(' ')}`)
      return
    }
  }
  t.comment(JSON.stringify(world.tally))
  t.ok(world.tally['request ack']! > 500, 'it is used')
  if (poolSize < 20) t.ok(world.tally['discover silence']! > 10, 'and exhausted at times')
}

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32))
for (let i = 0; i < 6; i++) {
  t.test(`a model: small pools, seed ${seed + i}`, async t => simulate(t, seed + i, 6, 'set back'))
}
for (let i = 0; i < 3; i++) {
  // Leases that look as if they were over are given away last: with pools that suffice, not at all.
  t.test(`a model: a clock set forward in between, seed ${seed + i}`, async t =>
    simulate(t, seed + i, 20, 'set forward too')
  )
}
