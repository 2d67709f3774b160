// DHCP: four-packet exchanges a second of many clients, with what each server does by itself to keep leases: Slipway is
// on the disk before the ACK leaves, Kea's memfile is written without waiting for the disk, dnsmasq rewrites its file.

import type { Plan } from '../wire.ts'
import { repeat, spread } from './figures.ts'
import type { Program, Wire } from './network.ts'
import { startDhcpPeer, startSlipway } from './servers.ts'

const CLIENTS = 10_000
/** dnsmasq takes minutes for more, and fails most of what many ask at once (why was not looked into): one by one. */
const CLIENTS_DNSMASQ = 1_000
const WINDOW = 64

interface Seen {
  readonly seconds: number
  readonly done: number
  readonly retries: number
  readonly failed: number
}

export async function measureDhcp(wire: Wire, plan: Plan): Promise<void> {
  const slipway = (run: number): Promise<Program> => startSlipway(wire, `slipway-dhcp-${run}`, () => {})
  const servers: [name: string, clients: number, window: number, start: (run: number) => Promise<Program>][] = [
    ['Slipway, fsync first', CLIENTS, WINDOW, slipway]
  ]
  for (const name of ['kea', 'dnsmasq'] as const) {
    const version = plan.versions.get(name)
    if (version === undefined) continue
    const [clients, window] = name === 'dnsmasq' ? [CLIENTS_DNSMASQ, 1] : [CLIENTS, WINDOW]
    servers.push([version, clients, window, run => startDhcpPeer(wire, name, `${name}-leases-${run}`)])
  }
  for (const [server, clients, window, start] of servers) {
    const seen = await repeat(plan.runs, async run => {
      const program = await start(run)
      const input = { first: 1, rounds: 1, clients, window }
      const result = (await wire.load('dhcp-load.ts', input)) as Seen
      const cpu = program.cpu()
      await program.stop()
      return { ...result, cpu }
    })
    plan.told({
      figure: `DHCP exchanges, ${clients} clients, ${window} at once`,
      server,
      unit: '/s',
      value: spread(seen.map(one => one.done / one.seconds)),
      notes: {
        'server CPU s': spread(seen.map(one => one.cpu)).median.toFixed(2),
        retries: seen.reduce((sum, one) => sum + one.retries, 0),
        failed: seen.reduce((sum, one) => sum + one.failed, 0)
      }
    })
  }
}

const LEVELS = [100, 1_000, 10_000, 50_000]
/** The same hundred machines at each level, so often that the clock of CPU time (10 ms) is fine enough. */
const ROUNDS = 20

/** What an exchange costs the server when it holds few leases and when it holds many. */
export async function measureGrowth(wire: Wire, { runs, told }: Plan): Promise<void> {
  const program = await startSlipway(wire, 'slipway-growth', () => {})
  const exchange = async (first: number, clients: number, rounds: number): Promise<number> => {
    const before = program.cpu()
    const { done } = (await wire.load('dhcp-load.ts', { first, clients, rounds, window: 64 })) as Seen
    return ((program.cpu() - before) / done) * 1e6
  }
  await exchange(1, LEVELS[0]!, ROUNDS * 3) // code that is warm, as it is in a server that has run for a while
  let held = LEVELS[0]!
  for (const level of LEVELS) {
    if (level > held) await exchange(1 + held, level - held, 1)
    held = level
    const costs = await repeat(runs, () => exchange(1, LEVELS[0]!, ROUNDS))
    const notes = { 'resident MB': program.residentMB().toFixed(0) }
    const figure = `DHCP, server CPU an exchange, ${held} leases`
    told({ figure, server: 'Slipway, fsync first', unit: 'µs', value: spread(costs), notes })
  }
  await program.stop()
}
