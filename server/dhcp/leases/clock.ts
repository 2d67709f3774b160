// Time for leases. A client counts its lease from when it was granted, by a clock of its own; ours is the time of day,
// since the store must outlive us, and that is set by people and by time servers, by days at times. What counts how
// long something took tells when: then all leases are moved along with it, so that none ends earlier or later for its
// client than it was promised. A clock that was set while nobody ran is not noticed but for leases from the future.

import type { Lease } from '../../core/allocation.ts'

/** A time server moves a clock smoothly while it is off by less than this (ntpd: 128 ms; chrony: as configured). */
export const JUMP_MS = 2000

/**
 * The time of day, that says when it has jumped, by how many milliseconds, before it is given again. `elapsed` are
 * milliseconds that nobody sets; null where they are unknown.
 */
export function watchClock(now: () => Date, elapsed: (() => number) | null, jumped: (ms: number) => void): () => Date {
  if (elapsed === null) return now
  let offset = now().getTime() - elapsed()
  return () => {
    const at = now()
    const jump = at.getTime() - elapsed() - offset
    if (Math.abs(jump) >= JUMP_MS) {
      offset += jump
      jumped(Math.round(jump))
    }
    return at
  }
}

/**
 * A lease as it counts from now on. One that was granted in the future was granted before the clock was set back:
 * nobody knows when, so that it lasts its whole time once more.
 */
export function recount(lease: Lease, now: Date): Lease {
  const { grantedAt, expiresAt } = lease
  if (grantedAt <= now) return lease
  return { ...lease, grantedAt: now, expiresAt: new Date(now.getTime() + expiresAt.getTime() - grantedAt.getTime()) }
}
