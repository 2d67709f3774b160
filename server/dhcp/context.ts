// What the engine is told beside the packet: who we are on that network, and what there is to lease.

import { createIndex, know, type Lease, type Pool } from '../core/allocation.ts'
import { broadcastOf, contains, networkOf, type Network, toAddress, toNetwork } from '../core/ipv4.ts'
import type { LeaseIndex } from '../core/lease-index.ts'
import { type Reservation, reserve } from '../core/reservations.ts'
import type { Options } from './codec/options.ts'
import type { BootWay } from './firmware/firmware.ts'
import type { Origin } from './codec/relay.ts'

export interface SubnetConfig {
  /** 10.0.0.0/24 */
  readonly subnet: string
  readonly pool: Pool
  readonly gateway: string | null
  readonly dns: readonly string[]
  readonly domain: string | null
  readonly leaseSeconds: number
}

/** A network interface as the system describes it (socket.ts). */
export interface Interface {
  readonly name: string
  readonly address: string
  readonly netmask: string
  readonly loopback: boolean
  /** The index that the kernel gives it; null when that is unknown. */
  readonly scope: number | null
}

export interface Subnet extends SubnetConfig {
  readonly network: Network
  readonly index: LeaseIndex
  /** How long an address is held for the machine that it was offered to. */
  readonly offerMs: number
  /** What each machine of it is told. */
  readonly options: Options
}

/** Long enough for firmware that waits four seconds for other offers. */
const OFFER_MS = 60_000

export interface Context {
  readonly mode: 'authoritative' | 'proxy'
  /** Which port heard it: the server's (67) or the proxy's (4011). */
  readonly door: 'server' | 'proxy'
  /** Our address, which is also where boot files are. */
  readonly server: string
  readonly peer: { readonly address: string; readonly port: number }
  readonly subnet: Subnet | null
  readonly ports: { readonly server: number; readonly client: number }
  readonly boot: BootWay
  readonly now: Date
}

/** `servers` are our own addresses, which no machine gets. */
export function openSubnets(
  configs: readonly SubnetConfig[],
  servers: readonly string[],
  leases: readonly Lease[],
  reservations: readonly Reservation[] = []
): Subnet[] {
  return configs.map(config => {
    const network = toNetwork(config.subnet)
    const taken = [...servers, toAddress(network.network), broadcastOf(network)]
    if (config.gateway !== null) taken.push(config.gateway)
    const index = createIndex(config.pool, taken, leases, inside(network, reservations, taken))
    return { ...config, network, index, offerMs: OFFER_MS, options: networkOptions(config, network) }
  })
}

function networkOptions({ gateway, dns, domain }: SubnetConfig, network: Network): Options {
  return {
    subnetMask: toAddress(network.netmask),
    broadcastAddress: broadcastOf(network),
    ...(gateway === null ? {} : { routers: [gateway] }),
    ...(dns.length === 0 ? {} : { dnsServers: dns }),
    ...(domain === null ? {} : { domain })
  }
}

/** Replaces the reservations of all subnets; returns those that none of them can keep. */
export function reserveIn(subnets: readonly Subnet[], reservations: readonly Reservation[]): Reservation[] {
  const kept = subnets.map(({ network, index }) => {
    const own = inside(network, reservations, Array.from(index.excluded, toAddress))
    reserve(index, own)
    return own
  })
  const all = new Set(kept.flat())
  return reservations.filter(reservation => !all.has(reservation))
}

/** Replaces the known machines, each by its MACs. Those that no pool has seen have an address left for them in each. */
export function knowIn(subnets: readonly Subnet[], machines: readonly (readonly string[])[]): void {
  const macs = new Set(machines.flat())
  const seen = (mac: string): boolean => subnets.some(({ index }) => index.byMac.has(mac))
  const unseen = machines.filter(each => !each.some(seen)).length
  for (const { index } of subnets) know(index, macs, unseen)
}

/** Those of this network, and those that keep no address: a machine is known on every network. */
function inside(network: Network, reservations: readonly Reservation[], taken: readonly string[]): Reservation[] {
  return reservations.filter(
    ({ address }) => address === null || (contains(network, address) && !taken.includes(address))
  )
}

/**
 * The subnet of a relayed packet is the one that the relay selects (RFC 3527), else the relay's own (RFC 2131 §4.3.1).
 * `routed` is the address of a client that spoke to us by way of a router, since it renews; null for all others. Theirs
 * is that of our interface: the one that holds our address, else one inside the interface's network, as the pools of
 * the loopback are. A client cannot choose: option 118 (RFC 3011) is not read.
 */
export function findSubnet(
  subnets: readonly Subnet[],
  own: Interface,
  { relay, link }: Pick<Origin, 'relay' | 'link'>,
  routed: string | null = null
): Subnet | null {
  const place = relay === null ? routed : (link ?? relay)
  const distant = place === null ? null : (subnets.find(({ network }) => contains(network, place)) ?? null)
  if (relay !== null || distant !== null) return distant
  const around = networkOf(own.address, own.netmask)
  return (
    subnets.find(({ network }) => contains(network, own.address)) ??
    subnets.find(({ network }) => isWithin(network, around)) ??
    null
  )
}

function isWithin(inner: Network, outer: Network): boolean {
  return inner.netmask >= outer.netmask && contains(outer, toAddress(inner.network))
}
