// Which address a machine gets: the same one as before, else the one it asks for, else one that was never used, else
// the one that has been free the longest. A machine is its hardware address (docs/adr/0001). The index is in memory and
// is the only truth while the server runs; the store holds what must outlive it.
//
// An address is held until a time: by an offer for a minute, by a lease until it expires, by nobody after a DECLINE
// (somebody else uses it) until it has rested. Every question costs the same however many leases there are.
//
// A reserved address is one machine's, in the pool or outside, and nobody else is ever offered it. A machine that is
// known by its hardware address is offered that or nothing. One that is known by something else (a client identifier, a
// UUID, a switch port) gets another while somebody has it, keeps what it has while it renews, and keeps its own when a
// later stage of its boot, or a renewal past the relay, does not show that again.
//
// While strangers press on the pool (pressure.ts) they get no address that a known machine had last, and leave one for
// each known machine that was never seen. A known machine may also take what a stranger was offered and has not taken.

import { toAddress, toNumber } from './ipv4.ts'
import { expire, type Held, inPool, isOpen, type LeaseIndex, pileUp, put, takeBack } from './lease-index.ts'
import { createPiles } from './piles.ts'
import { createPressure, isPressed, meet } from './pressure.ts'
import { isTenant, type Reservation, reserve, reservedFor } from './reservations.ts'

/** A DHCP lease as the core decides on it and the store keeps it. */
export interface Lease {
  readonly address: string
  readonly mac: string
  readonly hostname: string | null
  readonly grantedAt: Date
  readonly expiresAt: Date
  readonly state: 'bound' | 'declined'
  /** By what its document knew it, when that was not the hardware address: later stages may not show it again. */
  readonly identifier?: string
}

export interface Pool {
  /** First and last address, both included. */
  readonly first: string
  readonly last: string
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
    piles: createPiles(),
    pressure: createPressure(),
    counts: { open: 0, unseen: 0 },
    reserved: { byKey: new Map(), addresses: new Set() }
  }
  reserve(index, reservations)
  for (const lease of leases) {
    const address = toNumber(lease.address)
    if (inPool(index, address) || index.reserved.addresses.has(address)) record(index, lease)
  }
  return index
}

/** Replaces the known machines. `unseen`: how many of them no pool has ever seen. */
export function know(index: LeaseIndex, macs: ReadonlySet<string>, unseen: number): void {
  index.piles.known = macs
  index.counts.unseen = unseen
  pileUp(index)
}

/** Who else has this address, and until when; a null mac is nobody: it rests. Null when this machine may have it. */
export function holderBeside(index: LeaseIndex, mac: string, address: string, now: Date): Held | null {
  const held = index.byAddress.get(toNumber(address))
  return held === undefined || held.mac === mac || held.until <= now.getTime() ? null : held
}

/** Until when this address was promised to this machine, in milliseconds; 0 when it never was (an offer is not). */
export function heldUntil(index: LeaseIndex, mac: string, address: string): number {
  const held = index.byAddress.get(toNumber(address))
  return held?.mac === mac && held.offered !== true ? held.until : 0
}

/** The address this machine should be offered; null when the pool is exhausted, or another has the one kept for it. */
export function findAddress(
  index: LeaseIndex,
  mac: string,
  requested: string | null,
  now: Date,
  shown: readonly string[] = []
): string | null {
  const kept = reservedFor(index, mac, shown)
  if (kept !== null) {
    if (holderBeside(index, mac, kept, now) === null) return kept
    if (index.reserved.byKey.has(mac)) return null
  }
  const own = index.byMac.get(mac)
  if (own !== undefined && (isOpen(index, own) || isTenant(index, mac, own, shown))) return toAddress(own)
  if (requested !== null && mayHold(index, mac, requested, now, shown)) return requested
  if (isKeptBack(index, mac, null, now)) return null
  const address = findFresh(index) ?? findExpired(index, mac, now)
  return address === null ? null : toAddress(address)
}

/** Notes that a machine asks for an address: strangers without one are counted (pressure.ts). */
export function meetAsker({ piles, byMac, pressure }: LeaseIndex, mac: string, now: Date): void {
  if (!piles.known.has(mac) && !byMac.has(mac)) meet(pressure, mac, now)
}

/** Whether the machine is one of many strangers: what it gets, it gets for a short time. */
export function isPressing(index: LeaseIndex, mac: string, now: Date): boolean {
  return !index.piles.known.has(mac) && isCrowded(index, now)
}

/** Whether these are more strangers than this pool can serve beside the machines that are known. */
export function isCrowded(index: LeaseIndex, now: Date): boolean {
  expire(index, now)
  return isPressed(index.pressure, index.piles.held.stranger, index.counts.open, now)
}

/**
 * Whether a machine may not have this address (null: any new one), so that known machines find theirs: no stranger gets
 * what a known machine had last by naming it; and while strangers press, as many are left as there are known machines
 * that were never seen, up to a quarter of the pool.
 */
export function isKeptBack(index: LeaseIndex, mac: string, address: string | null, now: Date): boolean {
  const { piles, counts, byMac } = index
  if (piles.known.has(mac)) return false
  const crowded = isCrowded(index, now)
  if (address !== null && piles.free.known.has(toNumber(address))) return true
  if (byMac.has(mac) || !crowded) return false
  const left = counts.open - piles.held.known - piles.held.stranger - piles.free.known.size
  const kept = Math.min(counts.unseen, Math.floor(counts.open / 4))
  return left <= kept && kept + piles.free.known.size > 0
}

/** The address that this machine has, or last had; null when it is unknown or that address went to another. */
export function addressOf(index: LeaseIndex, mac: string): string | null {
  const own = index.byMac.get(mac)
  return own === undefined ? null : toAddress(own)
}

/** Whether this machine may have this address now: it is kept for it, or in the pool, and nobody else has it. */
export function mayHold(
  index: LeaseIndex,
  mac: string,
  address: string,
  now: Date,
  shown: readonly string[] = []
): boolean {
  if (holderBeside(index, mac, address, now) !== null) return false
  const kept = reservedFor(index, mac, shown)
  if (kept === address) return true
  if (kept !== null && index.reserved.byKey.has(mac)) return false
  const number = toNumber(address)
  if (isTenant(index, mac, number, shown)) return true
  if (!isOpen(index, number)) return false
  return index.byMac.get(mac) === number || !isKeptBack(index, mac, address, now)
}

/** Keeps an address for the machine it was offered to. An offer never shortens a lease. */
export function hold(index: LeaseIndex, mac: string, address: string, until: Date): void {
  const held = index.byAddress.get(toNumber(address))
  const own = held?.mac === mac ? { ...held, mac } : { mac, until: 0 }
  const longer = own.until > until.getTime()
  take(index, toNumber(address), longer ? own : { ...own, until: until.getTime(), offered: true })
}

/** Takes up a lease that was granted, renewed, released (it expires now) or declined. */
export function record(index: LeaseIndex, lease: Lease): void {
  const address = toNumber(lease.address)
  const until = lease.expiresAt.getTime()
  if (lease.state === 'bound') {
    const { mac, identifier } = lease
    return take(index, address, { mac, until, ...(identifier === undefined ? {} : { identifier }) })
  }
  if (index.byMac.get(lease.mac) === address) index.byMac.delete(lease.mac)
  put(index, address, { mac: null, until })
}

function take(index: LeaseIndex, address: number, held: Held & { readonly mac: string }): void {
  const { byMac, byAddress } = index
  const former = byMac.get(held.mac)
  if (former !== undefined && former !== address) put(index, former, { mac: null, until: 0 })
  const holder = byAddress.get(address)?.mac ?? null
  if (holder !== null && holder !== held.mac) byMac.delete(holder)
  byMac.set(held.mac, address)
  put(index, address, held)
}

function findFresh(index: LeaseIndex): number | null {
  const { fresh, byAddress, last } = index
  while (fresh.next <= last && (byAddress.has(fresh.next) || !isOpen(index, fresh.next))) fresh.next += 1
  return fresh.next <= last ? fresh.next : null
}

/** The one that has been free the longest; for a known machine also what a stranger is offered but has not taken. */
function findExpired(index: LeaseIndex, mac: string, now: Date): number | null {
  const crowded = isCrowded(index, now)
  const { free, known } = index.piles
  for (const pile of crowded && !known.has(mac) ? [free.stranger] : [free.stranger, free.known]) {
    for (const address of pile) {
      const { until, mac: last } = index.byAddress.get(address)!
      if (until <= now.getTime()) return address
      // The clock was put back: it is held still.
      takeBack(index, address, { mac: last, until })
    }
  }
  const [soonest] = index.expiries.heap
  const next = soonest === undefined ? undefined : index.byAddress.get(soonest.address)
  const taken = known.has(mac) && next?.offered === true && next.until === soonest!.at
  return taken && isOpen(index, soonest!.address) && !known.has(next.mac ?? '') ? soonest!.address : null
}
