// How slow a reader may be. One rule for both ways of sending, so that what holds a connection for long takes something
// with it. Pure; the clock is the caller's.

export interface Pace {
  /** How long a reader is watched before it is judged, and again. */
  readonly windowMs: number
  /** What it must have taken in that time, unless it is through. */
  readonly bytesMin: number
}

/**
 * 8.7 KB/s: a hundredth of the slowest network that machines are installed over, and an installer may stop for a minute
 * and a half while its disk is flushed.
 */
export const slowestPace: Pace = { windowMs: 120_000, bytesMin: 1024 * 1024 }

export interface Mark {
  readonly atMs: number
  readonly taken: number
}

/** Whether the time has come to judge a reader. */
export function isDue({ atMs }: Mark, nowMs: number, { windowMs }: Pace): boolean {
  return nowMs - atMs >= windowMs
}

/** The mark to judge by next time; null when the reader is too slow. `taken` is what the other end has acknowledged. */
export function judge(mark: Mark, nowMs: number, taken: number, { bytesMin }: Pace): Mark | null {
  return taken - mark.taken < bytesMin ? null : { atMs: nowMs, taken }
}
