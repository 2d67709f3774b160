// The agent's only loop. A tick looks at the world and takes one step toward what is wanted; what must outlive it is in
// the journal, so a crash costs one step and no more.

export interface Pace {
  readonly backoffMs: number
  readonly backoffMaxMs: number
}

export interface LoopDeps {
  /** Resolves to how long to wait before the next one. */
  readonly tick: (signal: AbortSignal) => Promise<number>
  readonly failed: (error: unknown, failures: number) => void
  /** Ends early when something worth looking at happened. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
  readonly random: () => number
}

/** Runs until `signal` aborts. A failed tick is reported and tried again, later each time. */
export async function loop(pace: Pace, { tick, failed, sleep, random }: LoopDeps, signal: AbortSignal): Promise<void> {
  let failures = 0
  while (!signal.aborted) {
    let waitMs: number
    try {
      waitMs = await tick(signal)
      failures = 0
    } catch (error) {
      if (signal.aborted) return
      failures += 1
      failed(error, failures)
      waitMs = backoffMs(pace, failures)
    }
    if (waitMs > 0) await sleep(jitter(waitMs, random()), signal)
  }
}

export function backoffMs({ backoffMs, backoffMaxMs }: Pace, failures: number): number {
  return Math.min(backoffMs * 2 ** (failures - 1), backoffMaxMs)
}

/** Plus or minus a tenth, so that a rack powered on together does not call together. */
export function jitter(ms: number, random: number): number {
  return Math.round(ms * (0.9 + 0.2 * random))
}
