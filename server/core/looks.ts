// One look for all who want to know the same at the same time: a thousand machines that boot together ask for the same
// few files. Leaves out what is looked at.

/**
 * Who asks while a look is under way shares it. What was found (not null, not false) is good for `keepMs` more; what is
 * missing, or failed, is looked for again by the next. Keys are few: there is one answer kept for each.
 */
export function shareLooks<T>(
  look: (key: string) => Promise<T>,
  { now, keepMs }: { readonly now: () => Date; readonly keepMs: number }
): (key: string) => Promise<T> {
  const under = new Map<string, Promise<T>>()
  const kept = new Map<string, { readonly found: T; readonly until: number }>()
  const begin = async (key: string): Promise<T> => {
    try {
      const found = await look(key)
      if (kept.size >= KEYS_MAX) kept.clear()
      if (found && keepMs > 0) kept.set(key, { found, until: now().getTime() + keepMs })
      return found
    } finally {
      under.delete(key)
    }
  }
  return async key => {
    const known = kept.get(key)
    const at = now().getTime()
    // A clock that was set back keeps nothing for longer.
    if (known !== undefined && at < known.until && at >= known.until - keepMs) return known.found
    kept.delete(key)
    const running = under.get(key) ?? begin(key)
    under.set(key, running)
    return running
  }
}

const KEYS_MAX = 1_000
