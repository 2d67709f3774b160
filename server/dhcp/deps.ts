// What the DHCP server is given: which networks it serves and how, and the world that it acts upon.

import type { Loader } from '../contract/document.ts'
import type { NewEvent } from '../contract/event.ts'
import type { Reservation } from '../core/reservations.ts'
import type { Log } from '../log.ts'
import type { Interface, SubnetConfig } from './context.ts'
import type { BootWay } from './firmware/firmware.ts'
import type { LeaseStore } from './leases/keeper.ts'
import type { Sighting } from './timeline/sightings.ts'

/** One of the networks that are served. */
export interface Attachment {
  readonly interface: Interface
  /** The boot plane as machines there reach it: http://10.0.0.1:8080, and by HTTPS where that is on. */
  readonly places: Pick<BootWay, 'bootUrl' | 'secureUrl'>
  /** Sockets that are open already, bound to the interface; null for those that are not. */
  readonly handles: { readonly server: number | null; readonly proxy: number | null }
}

export interface DhcpOptions {
  readonly mode: 'authoritative' | 'proxy'
  readonly attachments: readonly Attachment[]
  /** 67, 68 and 4011; 0 takes any. */
  readonly ports: { readonly server: number; readonly client: number; readonly proxy: number }
  /** Used in authoritative mode, as the reservations are. */
  readonly subnets: readonly SubnetConfig[]
  readonly reservations: readonly Reservation[]
  /** How often other DHCP servers are looked for; null or absent: never. */
  readonly probeEveryMs?: number | null
  /** Whether an iPXE that starts is sent router advertisements (advertise/server.ts). */
  readonly advertise: boolean
}

export interface DhcpDeps {
  readonly now: () => Date
  /** Milliseconds that nobody sets, to notice that the time of day was set; not given: it never is. */
  readonly elapsed?: () => number
  readonly log: Log
  /** dhcp_packets_total: a message type (or malformed, event) and what became of it. */
  readonly count: (type: string, result: string) => void
  readonly leases: LeaseStore
  readonly seen: (event: NewEvent) => void
  /** What the operator wants this machine to be led by; asked for each packet. `shown`: what else it is known by. */
  readonly loaderOf: (mac: string, shown: () => readonly string[]) => Loader
  /** A hardware address at a switch port where it was not before; resolves when that is kept. */
  readonly sighted?: (sighting: Sighting) => Promise<void>
}
