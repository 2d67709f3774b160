// One wait for the disk for all who come while another is under way: a group commit. Leaves out what is waited for.

/**
 * Gives a function whose promise resolves when a `sync` that began after the call is done. One runs at a time; who
 * comes meanwhile shares the next. When one fails, it and all later ones reject: what the disk has lost by then is not
 * known, and a second try may seem to succeed (https://lwn.net/Articles/752063).
 */
export function createFlush(sync: () => Promise<void>): () => Promise<void> {
  let running = Promise.resolve()
  let next: Promise<void> | null = null
  return () => {
    next ??= running.then(() => {
      next = null
      running = sync()
      return running
    })
    return next
  }
}
