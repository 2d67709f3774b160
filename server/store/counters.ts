// Numbers that are never given twice, such as the {number} in the names a rule gives.

import type { Db } from './schema.ts'

/** The next number of that counter, from 1. */
export async function nextNumber(db: Db, name: string): Promise<number> {
  const { value } = await db
    .insertInto('counters')
    .values({ name, value: 1 })
    .onConflict(clash => clash.column('name').doUpdateSet(eb => ({ value: eb('counters.value', '+', 1) })))
    .returning('value')
    .executeTakeFirstOrThrow()
  return value
}
