// Who has a transfer at the moment: few for one address, so many in all, one for each port of a client. Decides who
// waits and who makes room.

import type { Carriage } from './carrier.ts'

export interface Peer {
  readonly address: string
  readonly port: number
}

export interface Held {
  readonly peer: Peer
  /** The request as it came, to tell a repeated one from another. */
  readonly asked: Buffer
  /** Null until the file has been read. */
  carriage: Carriage | null
  state: 'unproven' | 'proven' | 'stopped' | 'crowded out' | 'given up'
}

export interface Places {
  readonly size: () => number
  readonly find: (peer: Peer) => Held | undefined
  /** Null when there is no room for one more. */
  readonly hold: (peer: Peer, asked: Buffer) => Held | null
  readonly prove: (held: Held) => void
  readonly leave: (held: Held) => void
  /** Leaves, and ends what is carried. */
  readonly stop: (held: Held, why: 'stopped' | 'crowded out' | 'given up') => void
  readonly stopAll: () => void
}

/** Transfers at once, and those of one client: firmware needs one, and another while an old one times out. */
const PLACES_MAX = 2048
const PLACES_MAX_PER_ADDRESS = 8

export function createPlaces(): Places {
  const all = new Map<string, Held>()
  const counts = new Map<string, number>()
  /** In the order in which they came. */
  const unproven = new Set<Held>()

  function leave(held: Held): void {
    const key = keyOf(held.peer)
    if (all.get(key) !== held) return
    all.delete(key)
    unproven.delete(held)
    const left = (counts.get(held.peer.address) ?? 1) - 1
    if (left === 0) counts.delete(held.peer.address)
    else counts.set(held.peer.address, left)
  }

  function stop(held: Held, why: 'stopped' | 'crowded out' | 'given up'): void {
    held.state = why
    leave(held)
    held.carriage?.stop()
  }

  return {
    size: () => all.size,
    find: peer => all.get(keyOf(peer)),
    hold(peer, asked) {
      // A client that begins anew from the same port has given up what it asked for before.
      const before = all.get(keyOf(peer))
      if (before !== undefined) stop(before, 'given up')
      const own = counts.get(peer.address) ?? 0
      if (own >= PLACES_MAX_PER_ADDRESS) return null
      // Who has waited longest without a word from the client makes room: he may be forged, an honest one answers soon.
      const [oldest] = unproven
      if (all.size >= PLACES_MAX && oldest !== undefined) stop(oldest, 'crowded out')
      if (all.size >= PLACES_MAX) return null
      const held: Held = { peer, asked, carriage: null, state: 'unproven' }
      all.set(keyOf(peer), held)
      counts.set(peer.address, own + 1)
      unproven.add(held)
      return held
    },
    prove(held) {
      if (unproven.delete(held)) held.state = 'proven'
    },
    leave,
    stop,
    stopAll: () => all.forEach(held => stop(held, 'stopped'))
  }
}

function keyOf({ address, port }: Peer): string {
  return `${address}:${port}`
}
