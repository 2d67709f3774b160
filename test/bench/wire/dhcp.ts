// DHCP: four-packet exchanges a second of many clients. Each server keeps its leases as it can: Slipway on the disk
// before the ACK leaves, or (durability: written) as Kea's memfile does, which is written without waiting for the disk;
// dnsmasq rewrites its file.

import type { Plan } from '../wire.ts'
import { repeat, spread } from './figures.ts'
import type { Program, Wire } from './network.ts'
import { type Durability, startDhcpPeer, startSlipway } from './servers.ts'

const CLIENTS = 50_000
/** dnsmasq takes minutes for more, and fails most of what many ask at once (why was not looked into): one by one. */
const CLIENTS_DNSMASQ = 1_000
const WINDOW = 64
/** Other clients first, whoever serves: a server that has run for a while, its code compiled, is what is asked about. */
const WARM_UP = { first: 1_000_000, rounds: 8, clients: 4_000, window: WINDOW }
const WARM_UP_DNSMASQ = { ...WARM_UP, rounds: 1, clients: CLIENTS_DNSMASQ, window: 1 }

interface Seen {
  readonly seconds: number
  readonly done: number
  readonly retries: number
  readonly failed: number
  /** Of the clients, seconds. */
  readonly cpu: number
}

interface Contender {
  readonly server: string
  readonly clients: number
  readonly window: number
  readonly start: (run: number) => Promise<Program>
}

/** One after the other in each run, so that what else the machine does befalls all alike. */
export async function measureDhcp(wire: Wire, plan: Plan): Promise<void> {
  const contenders = contendersOf(wire, plan)
  const rounds = await repeat(plan.runs, async run => {
    const seen: (Seen & { readonly serverCpu: number })[] = []
    for (const one of contenders) seen.push(await measure(wire, one, run))
    return seen
  })
  for (const [n, { server, clients, window }] of contenders.entries()) {
    const seen = rounds.map(round => round[n]!)
    const median = (of: (one: (typeof seen)[number]) => number): string => spread(seen.map(of)).median.toFixed(0)
    plan.told({
      figure: `DHCP exchanges, ${clients} clients, ${window} at once`,
      server,
      unit: '/s',
      value: spread(seen.map(one => one.done / one.seconds)),
      notes: {
        'server CPU µs each': median(one => (one.serverCpu / one.done) * 1e6),
        'clients CPU µs each': median(one => (one.cpu / one.done) * 1e6),
        retries: seen.reduce((sum, one) => sum + one.retries, 0),
        failed: seen.reduce((sum, one) => sum + one.failed, 0)
      }
    })
  }
}

function contendersOf(wire: Wire, { versions }: Plan): Contender[] {
  const slipway = (server: string, durability: Durability): Contender => {
    const start = (run: number): Promise<Program> =>
      startSlipway(wire, `slipway-dhcp-${durability}-${run}`, () => {}, durability)
    return { server, clients: CLIENTS, window: WINDOW, start }
  }
  const peers = (['kea', 'dnsmasq'] as const).flatMap((name): Contender[] => {
    const server = versions.get(name)
    if (server === undefined) return []
    const [clients, window] = name === 'dnsmasq' ? [CLIENTS_DNSMASQ, 1] : [CLIENTS, WINDOW]
    return [{ server, clients, window, start: run => startDhcpPeer(wire, name, `${name}-leases-${run}`) }]
  })
  return [slipway('Slipway, written', 'written'), slipway('Slipway, fsync first', 'committed'), ...peers]
}

async function measure(wire: Wire, { clients, window, start }: Contender, run: number) {
  const program = await start(run)
  await wire.load('dhcp-load.ts', window === 1 ? WARM_UP_DNSMASQ : WARM_UP)
  const before = program.cpu()
  const result = (await wire.load('dhcp-load.ts', { first: 1, rounds: 1, clients, window })) as Seen
  const serverCpu = program.cpu() - before
  await program.stop()
  return { ...result, serverCpu }
}

const LEVELS = [100, 1_000, 10_000, 50_000]
/** The same hundred machines at each level, so often that the clock of CPU time (10 ms) is fine enough. */
const ROUNDS = 120

/**
 * What an exchange costs the server when it holds few leases and when it holds many: each level in turn, run by run, so
 * that what else the machine does befalls all alike.
 */
export async function measureGrowth(wire: Wire, { runs, told }: Plan): Promise<void> {
  const start = (level: number): Promise<Program> => startSlipway(wire, `slipway-growth-${level}`, () => {})
  for (const level of LEVELS) {
    const program = await start(level)
    await wire.load('dhcp-load.ts', { first: 1, clients: level, rounds: 1, window: WINDOW })
    await program.stop()
  }
  const costs = await repeat(runs, async () => {
    const seen: { cost: number; residentMB: number }[] = []
    for (const level of LEVELS) {
      const program = await start(level)
      await exchange(wire, program, ROUNDS * 5) // code that is warm, as it is in a server that has run for a while
      seen.push({ cost: await exchange(wire, program, ROUNDS), residentMB: program.residentMB() })
      await program.stop()
    }
    return seen
  })
  for (const [n, level] of LEVELS.entries()) {
    const seen = costs.map(run => run[n]!)
    told({
      figure: `DHCP, server CPU an exchange, ${level} leases`,
      server: 'Slipway, fsync first',
      unit: 'µs',
      value: spread(seen.map(({ cost }) => cost)),
      notes: { 'resident MB': spread(seen.map(({ residentMB }) => residentMB)).median.toFixed(0) }
    })
  }
}

/** The server's CPU time for each exchange, in µs. */
async function exchange(wire: Wire, program: Program, rounds: number): Promise<number> {
  const before = program.cpu()
  const { done } = (await wire.load('dhcp-load.ts', { first: 1, clients: LEVELS[0]!, rounds, window: WINDOW })) as Seen
  return ((program.cpu() - before) / done) * 1e6
}
