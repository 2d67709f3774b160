// Which address a machine gets: the same one as before, else the one it asks for, else one that was never used, else
// the one that has been free the longest. A machine is its hardware address (docs/adr/0001). The index is in memory and
// is the only truth while the server runs; the store holds what must outlive it.
//
// An address is held until a time: by an offer for a minute, by a lease until it expires, by nobody after a DECLINE
// (somebody else uses it) until it has rested. Every question costs the same however many leases there are.
//
// A reserved address is one machine's, in the pool or outside: it is offered that or nothing, and nobody else ever is.

import { type Expiry, pop, push } from './expiry.ts'
import { toAddress, toNumber } from './ipv4.ts'

/** A DHCP lease as the core decides on it and the store keeps it. */
export interface Lease {
  readonly address: string
  readonly mac: string
  readonly hostname: string | null
  readonly grantedAt: Date
  readonly expiresAt: Date
  readonly state: 'bound' | 'declined'
}

export interface Pool {
  /** First and last address, both included. */
  readonly first: string
  readonly last: string
}

/** An address that is kept for a machine. */
export interface Reservation {
  readonly mac: string
  readonly address: string
}

interface Held {
  /** Null when it rests after a DECLINE, or when its machine has moved to another address. */
  readonly mac: string | null
  readonly until: number
}

/** Opaque: made by createIndex, changed by hold, record and reserve only. */
export interface LeaseIndex {
  readonly first: number
  readonly last: number
  readonly excluded: ReadonlySet<number>
  readonly byMac: Map<string, number>
  readonly byAddress: Map<number, Held>
  readonly expiries: { heap: Expiry[] }
  readonly fresh: { next: number }
  readonly reserved: { byMac: ReadonlyMap<string, number>; addresses: ReadonlySet<number> }
}

/** The index of one pool. `excluded` are addresses in it that belong to somebody (the server, the gateway). */
export function createIndex(
  pool: Pool,
  excluded: readonly string[],
  leases: readonly Lease[],
  reservations: readonly Reservation[] = []
): LeaseIndex {
  const first = toNumber(pool.first)
  const index: LeaseIndex = {
    first,
    last: toNumber(pool.last),
    excluded: new Set(excluded.map(toNumber)),
    byMac: new Map(),
    byAddress: new Map(),
    expiries: { heap: [] },
    fresh: { next: first },
    reserved: { byMac: new Map(), addresses: new Set() }
  }
  reserve(index, reservations)
  for (const lease of leases) {
    const address = toNumber(lease.address)
    if (inPool(index, address) || index.reserved.addresses.has(address)) record(index, lease)
  }
  return index
}

/** Replaces all reservations. A machine that has another's address keeps it until it asks for it again. */
export function reserve(index: LeaseIndex, reservations: readonly Reservation[]): void {
  const former = index.reserved.addresses
  const byMac = new Map(reservations.map(({ mac, address }) => [mac, toNumber(address)]))
  const addresses = new Set(byMac.values())
  index.reserved.byMac = byMac
  index.reserved.addresses = addresses
  // What was passed over because it was reserved is to be given out again.
  for (const address of former) {
    if (addresses.has(address) || !inPool(index, address)) continue
    const until = index.byAddress.get(address)?.until
    if (until !== undefined) push(index.expiries.heap, { at: until, address })
    else if (address < index.fresh.next) put(index, address, { mac: null, until: 0 })
  }
}

/** The address that is kept for this machine; null when none is. */
export function reservedFor(index: LeaseIndex, mac: string): string | null {
  const address = index.reserved.byMac.get(mac)
  return address === undefined ? null : toAddress(address)
}

/** Who else has this address, and until when; a null mac is nobody: it rests. Null when this machine may have it. */
export function holderBeside(index: LeaseIndex, mac: string, address: string, now: Date): Held | null {
  const held = index.byAddress.get(toNumber(address))
  return held === undefined || held.mac === mac || held.until <= now.getTime() ? null : held
}

/** The address this machine should be offered; null when the pool is exhausted, or another has the one kept for it. */
export function findAddress(index: LeaseIndex, mac: string, requested: string | null, now: Date): string | null {
  const kept = reservedFor(index, mac)
  if (kept !== null) return holderBeside(index, mac, kept, now) === null ? kept : null
  const own = index.byMac.get(mac)
  if (own !== undefined && isOpen(index, own)) return toAddress(own)
  if (requested !== null && mayHold(index, mac, requested, now)) return requested
  const address = findFresh(index) ?? findExpired(index, now)
  return address === null ? null : toAddress(address)
}

/** The address that this machine has, or last had; null when it is unknown or that address went to another. */
export function addressOf(index: LeaseIndex, mac: string): string | null {
  const own = index.byMac.get(mac)
  return own === undefined ? null : toAddress(own)
}

/** Whether this machine may have this address now: it is kept for it, or in the pool, and nobody else has it. */
export function mayHold(index: LeaseIndex, mac: string, address: string, now: Date): boolean {
  const kept = reservedFor(index, mac)
  const allowed = kept === null ? isOpen(index, toNumber(address)) : kept === address
  return allowed && holderBeside(index, mac, address, now) === null
}

/** Keeps an address for the machine it was offered to. An offer never shortens a lease. */
export function hold(index: LeaseIndex, mac: string, address: string, until: Date): void {
  const held = index.byAddress.get(toNumber(address))
  const current = held?.mac === mac ? held.until : 0
  take(index, mac, toNumber(address), Math.max(current, until.getTime()))
}

/** Takes up a lease that was granted, renewed, released (it expires now) or declined. */
export function record(index: LeaseIndex, lease: Lease): void {
  const address = toNumber(lease.address)
  if (lease.state === 'bound') return take(index, lease.mac, address, lease.expiresAt.getTime())
  if (index.byMac.get(lease.mac) === address) index.byMac.delete(lease.mac)
  put(index, address, { mac: null, until: lease.expiresAt.getTime() })
}

function take(index: LeaseIndex, mac: string, address: number, until: number): void {
  const former = index.byMac.get(mac)
  if (former !== undefined && former !== address) put(index, former, { mac: null, until: 0 })
  const holder = index.byAddress.get(address)?.mac ?? null
  if (holder !== null && holder !== mac) index.byMac.delete(holder)
  index.byMac.set(mac, address)
  put(index, address, { mac, until })
}

function put(index: LeaseIndex, address: number, held: Held): void {
  index.byAddress.set(address, held)
  push(index.expiries.heap, { at: held.until, address })
  // Renewals leave stale entries behind: made anew when they are the most, which is paid for by those renewals.
  if (index.expiries.heap.length > index.byAddress.size * 2 + 64) {
    const live = Array.from(index.byAddress, ([live, { until }]) => ({ at: until, address: live }))
    index.expiries.heap = live.sort((a, b) => a.at - b.at)
  }
}

function findFresh(index: LeaseIndex): number | null {
  const { fresh, byAddress, last } = index
  while (fresh.next <= last && (byAddress.has(fresh.next) || !isOpen(index, fresh.next))) fresh.next += 1
  return fresh.next <= last ? fresh.next : null
}

function findExpired(index: LeaseIndex, now: Date): number | null {
  const { heap } = index.expiries
  for (;;) {
    const [soonest] = heap
    if (soonest === undefined) return null
    const current = index.byAddress.get(soonest.address)?.until === soonest.at
    if (!current || !isOpen(index, soonest.address)) pop(heap)
    else return soonest.at <= now.getTime() ? soonest.address : null
  }
}

/** Whether it is for any machine that asks. */
function isOpen(index: LeaseIndex, address: number): boolean {
  return inPool(index, address) && !index.reserved.addresses.has(address)
}

function inPool({ first, last, excluded }: LeaseIndex, address: number): boolean {
  return address >= first && address <= last && !excluded.has(address)
}
