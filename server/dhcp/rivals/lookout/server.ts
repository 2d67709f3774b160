// What the server notices on its networks beside its own work: other DHCP servers (rivals.ts), heard by what machines
// ask for and by its own probes, and floods (flood.ts). Kept in memory: it is about now.

import type { NewEvent } from '../../../contract/event.ts'
import type { DhcpServerView, Notice } from '../../../contract/network.ts'
import type { Log } from '../../../log.ts'
import type { Interface, Subnet } from '../../context.ts'
import type { Decision } from '../../engine.ts'
import { createFloods, floodNotices, isOfFlood, watchFlood } from '../../timeline/flood.ts'
import { NO_ADDRESS, type Packet } from '../../codec/packet.ts'
import { type Prober, startProber } from '../probe/server.ts'
import {
  createRivals,
  hasGiver,
  hear,
  listServers,
  review,
  rivalNotices,
  sightingOfReply,
  sightingOfRequest,
  type Sighting
} from '../rivals.ts'

export interface LookoutOptions {
  readonly mode: 'authoritative' | 'proxy'
  readonly interfaces: readonly Interface[]
  /** How often other servers are asked for; null never. The loopback is not asked. */
  readonly probeEveryMs: number | null
}

export interface LookoutDeps {
  readonly now: () => Date
  readonly log: Log
  readonly seen: (event: NewEvent) => void
}

export interface Lookout {
  /** Takes note of a message to servers; true when it is a probe of our own, which nobody here answers. */
  readonly notes: (packet: Packet, own: Interface) => boolean
  /** Takes note of what became of a wish for an address; true when its machine is one of a flood: no word of it. */
  readonly asked: (packet: Packet, decision: Decision, subnet: Subnet) => boolean
  /** Begins to ask, on these ports; resolves when its sockets are open. */
  readonly start: (ports: { readonly server: number; readonly client: number }) => Promise<void>
  readonly servers: () => DhcpServerView[]
  readonly notices: () => Notice[]
  readonly close: () => Promise<void>
}

interface Round {
  /** Null when all had their time to answer. */
  readonly why: string | null
  readonly since: Date
}

export function createLookout(options: LookoutOptions, { now, log, seen }: LookoutDeps): Lookout {
  const { mode, interfaces, probeEveryMs } = options
  const rivals = createRivals(mode)
  const floods = createFloods()
  const own = new Set(interfaces.map(({ address }) => address))
  const probers: Prober[] = []
  const rounds = new Map<string, Round>()
  const tell = (events: readonly NewEvent[]): void => {
    for (const event of events) {
      if (event.level === 'warning') log.warn(event.type, event.detail)
      seen(event)
    }
  }
  const take = (sighting: Sighting): void => tell(hear(rivals, sighting, now()))

  function asked(device: string, why: string | null): void {
    const former = rounds.get(device)
    if (former === undefined || former.why !== why) {
      rounds.set(device, { why, since: now() })
      if (why !== null) log.warn('dhcp.blind', { interface: device, why })
    }
    tell(review(rivals, now()))
  }

  return {
    notes(packet, { name }) {
      if (probers.some(prober => prober.isOwn(packet))) return true
      const relay = packet.relay === NO_ADDRESS ? null : packet.relay
      const sighting = sightingOfRequest(packet, { interface: name, relay }, own)
      if (sighting !== null) take(sighting)
      return false
    },
    asked({ mac }, decision, subnet) {
      const event = watchFlood(floods, subnet, decision.kind === 'reply', now())
      if (event !== null) tell([event])
      return isOfFlood(subnet, mac, now())
    },
    async start(ports) {
      if (probeEveryMs === null) return
      for (const each of interfaces.filter(({ loopback }) => !loopback)) {
        const place = { interface: each.name, relay: null }
        const prober = startProber(
          { interface: each, ports, everyMs: probeEveryMs, addresses: own },
          {
            heard: (packet, from, mac) => take(sightingOfReply(packet, place, from, mac)),
            asked: why => asked(each.name, why)
          }
        )
        probers.push(prober)
        await prober.opened
      }
    },
    servers: () => listServers(rivals, now()),
    notices: () => [
      ...rivalNotices(rivals, now()),
      ...floodNotices(floods, now()),
      ...[...rounds].flatMap(([device, { why, since }]): Notice[] => {
        const about = { level: 'note', since: since.toISOString() } as const
        if (why !== null) {
          return [{ about: 'blind', ...about, message: `other DHCP servers on ${device} cannot be looked for: ${why}` }]
        }
        if (mode === 'authoritative' || hasGiver(rivals, device, now())) return []
        const message = `nobody gives addresses on ${device}, and this server, a proxy, does not: machines cannot boot`
        return [{ about: 'no-addresses', ...about, message }]
      })
    ],
    async close() {
      await Promise.all(probers.map(prober => prober.close()))
    }
  }
}
