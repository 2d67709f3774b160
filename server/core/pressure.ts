// How hard strangers press on a pool: machines that nobody has approved, and that have no address yet. A new rack is a
// thousand of them within a minute, and so is a flood of invented hardware addresses. Nothing here tells the two apart;
// what strangers may take is only bounded while they are many for this pool, and so that known machines lack nothing.

/** Counted within one minute; the greater number of this minute and the last one is what holds. */
const WINDOW_MS = 60_000
/** A flood is one beyond this number: no more are remembered. */
const COUNTED_MAX = 2000
/** A rack may fill a small pool and ask for more; that many within a minute are no rack. */
const FLOOD_MIN = 64

export interface Pressure {
  since: number
  macs: Set<string>
  former: number
}

export function createPressure(): Pressure {
  return { since: 0, macs: new Set(), former: 0 }
}

/** A stranger without an address has asked for one. */
export function meet(pressure: Pressure, mac: string, now: Date): void {
  turn(pressure, now)
  if (pressure.macs.size < COUNTED_MAX) pressure.macs.add(mac)
}

/** How many different ones came lately; 2,000 is that many or more. */
export function strangersLately(pressure: Pressure, now: Date): number {
  turn(pressure, now)
  return Math.max(pressure.macs.size, pressure.former)
}

/**
 * Whether strangers are bounded: many at once, or many addresses that they hold. `size` is that of the pool. A thousand
 * machines in a /16 are not many; in a /22 they are, and get short leases until they are known.
 */
export function isPressed(pressure: Pressure, strangersHold: number, size: number, now: Date): boolean {
  return strangersHold > size / 2 || strangersLately(pressure, now) > Math.min(COUNTED_MAX - 1, size / 4)
}

/** Whether a person should look: more than the pool could ever serve, or more than any rack has. */
export function isFlood(pressure: Pressure, size: number, now: Date): boolean {
  return strangersLately(pressure, now) >= Math.min(COUNTED_MAX, Math.max(FLOOD_MIN, size) + 1)
}

function turn(pressure: Pressure, now: Date): void {
  const age = now.getTime() - pressure.since
  if (age >= 0 && age < WINDOW_MS) return
  pressure.former = age >= 0 && age < 2 * WINDOW_MS ? pressure.macs.size : 0
  pressure.macs = new Set()
  pressure.since = now.getTime()
}
