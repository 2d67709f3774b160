// The open addresses of a pool that were ever used, in piles: held or free, of known machines or of strangers. Counted
// as they change, so that a flood of strangers is seen and stopped at the price of two lookups a packet. Who counts as
// known, and what strangers may still take, is pressure.ts and allocation.ts.

export interface Piles {
  /** Machines that somebody has approved or described, by hardware address. */
  known: ReadonlySet<string>
  readonly held: { known: number; stranger: number }
  /** In the order in which they became free. */
  readonly free: { readonly known: Set<number>; readonly stranger: Set<number> }
}

export function createPiles(): Piles {
  return { known: new Set(), held: { known: 0, stranger: 0 }, free: { known: new Set(), stranger: new Set() } }
}

/** `mac` is who has it or had it last; null is nobody, as after a DECLINE. */
export function addHeld(piles: Piles, mac: string | null): void {
  piles.held[sideOf(piles, mac)] += 1
}

/** Takes an address off the pile that it is on, as its holder changes. */
export function takeOff(piles: Piles, address: number, mac: string | null): void {
  if (piles.free.known.delete(address) || piles.free.stranger.delete(address)) return
  piles.held[sideOf(piles, mac)] -= 1
}

/** It was held until now. */
export function release(piles: Piles, address: number, mac: string | null): void {
  takeOff(piles, address, mac)
  piles.free[sideOf(piles, mac)].add(address)
}

export function isFree({ free }: Piles, address: number): boolean {
  return free.known.has(address) || free.stranger.has(address)
}

export function clearPiles({ held, free }: Piles): void {
  held.known = 0
  held.stranger = 0
  free.known.clear()
  free.stranger.clear()
}

function sideOf({ known }: Piles, mac: string | null): 'known' | 'stranger' {
  return mac !== null && known.has(mac) ? 'known' : 'stranger'
}
