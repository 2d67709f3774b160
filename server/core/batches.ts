// Many small writes as few large ones: what is added while one batch is written goes into the next, all at once. Nobody
// waits for company longer than packets that are here already are being read. Leaves out what a batch does.

export type Add<T> = (item: T) => Promise<void>

/**
 * `write` resolves with one entry an item: null when it was written, else why not. When it rejects, no item was.
 * One batch is under way at a time, in the order of adding.
 */
export function createBatches<T>(
  sizeMax: number,
  write: (items: readonly T[]) => Promise<readonly (Error | null)[]>
): Add<T> {
  let waiting: { readonly item: T; readonly done: PromiseWithResolvers<void> }[] = []
  let writing = false

  /** `seen` waited a turn ago: as long as packets come in and add to them, the batch grows. */
  function next(seen: number): void {
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
      writing = waiting.length > 0
      if (writing) setImmediate(next, 0) // the packets that came meanwhile go along
    }
    write(batch.map(({ item }) => item)).then(
      results => settle(at => results[at] ?? null),
      (error: unknown) => settle(() => error)
    )
  }

  return item => {
    const done = Promise.withResolvers<void>()
    waiting.push({ item, done })
    if (!writing) {
      writing = true
      setImmediate(next, 0)
    }
    return done.promise
  }
}
