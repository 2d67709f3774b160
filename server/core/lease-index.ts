// The lease index: which address is held by whom and until when, which is free the longest, all of it in memory. How it
// is kept; who gets what is allocation.ts.

import { type Expiry, pop, push } from './expiry.ts'
import { addHeld, clearPiles, isFree, type Piles, release, takeOff } from './piles.ts'
import type { Pressure } from './pressure.ts'

export interface Held {
  /** Null when it rests after a DECLINE, or when its machine has moved to another address. */
  readonly mac: string | null
  readonly until: number
  /** Offered only: its machine has not asked for it yet. */
  readonly offered?: boolean
  /** By what its document knew its machine, when that was not the hardware address. */
  readonly identifier?: string
}

/** What a document says of the machine with this key (allocation.ts: Reservation). */
export interface Reserved {
  readonly key: string
  readonly address: number | null
  readonly machine: string
}

/** Opaque: made by createIndex, changed by hold, record, reserve and know only. */
export interface LeaseIndex {
  readonly first: number
  readonly last: number
  readonly excluded: ReadonlySet<number>
  readonly byMac: Map<string, number>
  readonly byAddress: Map<number, Held>
  readonly expiries: { heap: Expiry[] }
  readonly fresh: { next: number }
  readonly piles: Piles
  readonly pressure: Pressure
  /** Addresses for any machine that asks; known machines that no pool has seen. */
  readonly counts: { open: number; unseen: number }
  readonly reserved: { byKey: ReadonlyMap<string, Reserved>; addresses: ReadonlySet<number> }
}

/** Puts every address on its pile anew: as held; what is free is found by the next one that looks for an address. */
export function pileUp(index: LeaseIndex): void {
  const { first, last, counts, byAddress, excluded, reserved, piles } = index
  clearPiles(piles)
  for (const [address, { mac }] of byAddress) if (isOpen(index, address)) addHeld(piles, mac)
  const all = Array.from(byAddress, ([address, { until }]) => ({ at: until, address }))
  index.expiries.heap = all.sort((a, b) => a.at - b.at)
  const closed = [...new Set([...excluded, ...reserved.addresses])].filter(each => each >= first && each <= last)
  counts.open = last - first + 1 - closed.length
}

export function put(index: LeaseIndex, address: number, held: Held): void {
  const { byAddress, expiries, piles } = index
  const former = byAddress.get(address)
  byAddress.set(address, held)
  if (isOpen(index, address)) {
    if (former !== undefined) takeOff(piles, address, former.mac)
    addHeld(piles, held.mac)
  }
  push(expiries.heap, { at: held.until, address })
  // Renewals leave stale entries behind: made anew when they are the most, which is paid for by those renewals.
  if (expiries.heap.length > byAddress.size * 2 + 64) {
    const live = Array.from(byAddress, ([each, { until }]) => ({ at: until, address: each }))
    expiries.heap = live.filter(entry => !isFree(piles, entry.address)).sort((a, b) => a.at - b.at)
  }
}

/** Moves all times by so many milliseconds, as the clock was. */
export function shift(index: LeaseIndex, ms: number): void {
  for (const [address, held] of index.byAddress) {
    if (held.until > 0) index.byAddress.set(address, { ...held, until: Math.max(0, held.until + ms) })
  }
  pileUp(index)
}

/** What is no longer held goes to the piles of what is free. */
export function expire(index: LeaseIndex, now: Date): void {
  const { heap } = index.expiries
  for (;;) {
    const [soonest] = heap
    if (soonest === undefined) return
    const held = index.byAddress.get(soonest.address)
    const current =
      held?.until === soonest.at && isOpen(index, soonest.address) && !isFree(index.piles, soonest.address)
    if (current && soonest.at > now.getTime()) return
    pop(heap)
    if (current) release(index.piles, soonest.address, held.mac)
  }
}

/** What was thought free is held still: the clock was put back. */
export function takeBack({ piles, expiries }: LeaseIndex, address: number, { mac, until }: Held): void {
  takeOff(piles, address, mac)
  addHeld(piles, mac)
  push(expiries.heap, { at: until, address })
}

/** Whether it is for any machine that asks. */
export function isOpen(index: LeaseIndex, address: number): boolean {
  return inPool(index, address) && !index.reserved.addresses.has(address)
}

export function inPool({ first, last, excluded }: LeaseIndex, address: number): boolean {
  return address >= first && address <= last && !excluded.has(address)
}
