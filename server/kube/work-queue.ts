// Work by name, one after the other: a watch says what changed, the worker looks at it as it is now. A name that is
// waiting already is not added twice, so a storm of events costs one look; what fails is tried again a little later.

import type { Log } from '../log.ts'

export interface WorkQueue {
  readonly add: (name: string) => void
  /** Ends after the work in hand. */
  readonly close: () => Promise<void>
}

const retryMs = 3000

export function createWorkQueue(area: string, work: (name: string) => Promise<void>, log: Log): WorkQueue {
  const waiting = new Set<string>()
  const timers = new Set<NodeJS.Timeout>()
  let running: Promise<void> | null = null
  let closed = false

  async function run(): Promise<void> {
    for (const name of waiting) {
      if (closed) return
      waiting.delete(name)
      try {
        await work(name)
      } catch (error) {
        log.warn(`${area}.failed`, { name, reason: error instanceof Error ? error.message : String(error) })
        const timer = setTimeout(() => {
          timers.delete(timer)
          add(name)
        }, retryMs)
        timers.add(timer)
      }
    }
  }

  function add(name: string): void {
    if (closed) return
    waiting.add(name)
    // Begins in a later turn, so that `running` is set before the work ends.
    running ??= Promise.resolve()
      .then(run)
      .finally(() => {
        running = null
        if (waiting.size > 0 && !closed) add([...waiting][0] ?? '')
      })
  }

  return {
    add,
    async close() {
      closed = true
      for (const timer of timers) clearTimeout(timer)
      await running
    }
  }
}
