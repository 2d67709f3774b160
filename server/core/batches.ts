// Many small writes as few large ones: what is added while one batch is written goes into the next, all at once. Nobody
// waits for company longer than packets that are here already are being read, or than the caller says. Leaves out what
// a batch does.

export interface Batches<T> {
  /** Resolves when the item is written; rejects when it was not. */
  readonly add: (item: T) => Promise<void>
  /** Has all that was added by now written without waiting for company, and resolves when each is, or is not. */
  readonly flush: () => Promise<void>
}

interface Waiting<T> {
  readonly item: T
  readonly done: PromiseWithResolvers<void>
}

/**
 * `write` resolves with one entry an item: null when it was written, else why not. When it rejects, no item was.
 * One batch is under way at a time, in the order of adding. With `patienceMs` a batch that is not full waits so long
 * for company: for what nobody waits for, which is not to take the processor from what somebody does.
 */
export function createBatches<T>(
  sizeMax: number,
  write: (items: readonly T[]) => Promise<readonly (Error | null)[]>,
  patienceMs = 0
): Batches<T> {
  let waiting: Waiting<T>[] = []
  let writing = false
  let patience: NodeJS.Timeout | null = null
  let newest: Waiting<T> | null = null
  /** The last one that somebody waits for, as long as it is not written. */
  let urgent: Waiting<T> | null = null

  function begin(): void {
    writing = true
    if (patienceMs === 0 || urgent !== null || waiting.length >= sizeMax) setImmediate(next, 0)
    else patience = setTimeout(next, patienceMs, Infinity)
  }

  /** `seen` waited a turn ago: as long as packets come in and add to them, the batch grows. */
  function next(seen: number): void {
    patience = null
    if (waiting.length > seen && waiting.length < sizeMax) {
      setImmediate(next, waiting.length)
      return
    }
    const batch = waiting.slice(0, sizeMax)
    waiting = waiting.slice(sizeMax)
    const settle = (errorOf: (at: number) => unknown): void => {
      for (const [at, { done }] of batch.entries()) {
        const error = errorOf(at)
        if (error === null) done.resolve()
        else done.reject(error)
      }
      writing = false
      if (urgent !== null && batch.includes(urgent)) urgent = null
      if (waiting.length > 0) begin() // the packets that came meanwhile go along
    }
    write(batch.map(({ item }) => item)).then(
      results => settle(at => results[at] ?? null),
      (error: unknown) => settle(() => error)
    )
  }

  function hurry(): void {
    if (patience === null) return
    clearTimeout(patience)
    next(waiting.length)
  }

  return {
    add(item) {
      const done = Promise.withResolvers<void>()
      newest = { item, done }
      waiting.push(newest)
      if (!writing) begin()
      else if (waiting.length >= sizeMax) hurry()
      return done.promise
    },
    async flush() {
      if (waiting.length > 0) urgent = newest
      hurry()
      await newest?.done.promise.catch(() => undefined) // who added it is told why
    }
  }
}
