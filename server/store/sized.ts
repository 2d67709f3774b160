// Queries whose text depends on how many rows they are about, compiled once for each number: kysely takes longer to
// compile one than the database to run it. The parameters are given anew each time.

import type { Db } from './schema.ts'

/** Kept by dialect: the adapter is one for all handles and transactions of a store. */
export function sizedQueries<Q>(compile: (db: Db, size: number) => Q): (db: Db, size: number) => Q {
  const kept = new WeakMap<object, Map<number, Q>>()
  return (db, size) => {
    const { adapter } = db.getExecutor()
    const known = kept.get(adapter) ?? new Map<number, Q>()
    kept.set(adapter, known)
    const found = known.get(size) ?? compile(db, size)
    known.set(size, found)
    return found
  }
}

/** In pieces that are each a power of two long: so there are few texts. */
export function powersOfTwo<T>(items: readonly T[]): T[][] {
  const pieces: T[][] = []
  for (let at = 0; at < items.length;) {
    const size = 2 ** Math.floor(Math.log2(items.length - at))
    pieces.push(items.slice(at, at + size))
    at += size
  }
  return pieces
}
