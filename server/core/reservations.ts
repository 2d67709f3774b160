// What documents keep for machines: which of them is meant by what a packet shows, which address that gives it, and how
// long it may go on without showing it again. Who gets which address in the end is allocation.ts.

import { contradicts } from './identifiers.ts'
import { toAddress, toNumber } from './ipv4.ts'
import { inPool, type LeaseIndex, pileUp, type Reserved } from './lease-index.ts'

/** What a document says of a machine, once for each of its identifiers. */
export interface Reservation {
  /** A hardware address, or another identifier (identifiers.ts). */
  readonly key: string
  /** The address that is kept for it; null for none. */
  readonly address: string | null
  /** The document's name. */
  readonly machine: string
}

/** Replaces all reservations. A machine that has another's address keeps it until it asks for it again. */
export function reserve(index: LeaseIndex, reservations: readonly Reservation[]): void {
  const former = index.reserved.addresses
  const numbered = reservations.map(each => ({
    ...each,
    address: each.address === null ? null : toNumber(each.address)
  }))
  const addresses = new Set(numbered.flatMap(({ address }) => address ?? []))
  index.reserved.byKey = new Map(numbered.map(each => [each.key, each]))
  index.reserved.addresses = addresses
  // What was passed over because it was reserved is to be given out again.
  for (const address of former) {
    if (addresses.has(address) || !inPool(index, address) || index.byAddress.has(address)) continue
    if (address < index.fresh.next) index.byAddress.set(address, { mac: null, until: 0 })
  }
  pileUp(index)
}

/** What the documents say of this machine: by its hardware address, else by the first known that it shows. */
export function findReserved({ reserved }: LeaseIndex, mac: string, shown: readonly string[]): Reserved | null {
  if (reserved.byKey.size === 0) return null
  const key = reserved.byKey.has(mac) ? mac : shown.find(each => reserved.byKey.has(each))
  return key === undefined ? null : reserved.byKey.get(key)!
}

/** The address that is kept for this machine; null when none is. */
export function reservedFor(index: LeaseIndex, mac: string, shown: readonly string[] = []): string | null {
  const address = findReserved(index, mac, shown)?.address ?? null
  return address === null ? null : toAddress(address)
}

/** What its lease should remember: by what its document knows it now, or knew it when it got this address. */
export function identifierFor(
  index: LeaseIndex,
  mac: string,
  address: string,
  shown: readonly string[]
): string | undefined {
  const found = findReserved(index, mac, shown)
  if (found !== null) return found.key === mac ? undefined : found.key
  const held = index.byAddress.get(toNumber(address))
  return held?.mac === mac ? held.identifier : undefined
}

/** Whether it has this address since it is kept for it, though it may not show now by what it was known then. */
export function isTenant(index: LeaseIndex, mac: string, address: number, shown: readonly string[]): boolean {
  const held = index.byAddress.get(address)
  if (held?.mac !== mac || held.identifier === undefined) return false
  return index.reserved.byKey.get(held.identifier)?.address === address && !contradicts(held.identifier, shown)
}

/** Two documents that a machine's identifiers lead to, the one that holds first; null when they agree. */
export function findRivals(
  { reserved }: LeaseIndex,
  mac: string,
  shown: readonly string[]
): [Reserved, Reserved] | null {
  const [first, ...others] = [mac, ...shown].flatMap(key => reserved.byKey.get(key) ?? [])
  const rival = others.find(({ machine }) => machine !== first!.machine)
  return rival === undefined ? null : [first!, rival]
}
