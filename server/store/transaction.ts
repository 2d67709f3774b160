// All or nothing, wherever the caller already is: a function that needs a transaction uses the one it was given.

import { Fault } from '../core/fault.ts'
import type { Db } from './schema.ts'

/** Runs `work` in a transaction; inside one already, in that. Within, use only the handle it is given. */
export async function inTransaction<T>(db: Db, work: (db: Db) => Promise<T>): Promise<T> {
  return db.isTransaction ? work(db) : db.transaction().execute(work)
}

/** Names a duplicate as a conflict that a person understands; every other error goes on as it is. */
export async function unlessTaken<T>(message: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw isDuplicate(error) ? new Fault('conflict', message, { cause: error }) : error
  }
}

const SQLITE_CONSTRAINT_PRIMARYKEY = 1555
const SQLITE_CONSTRAINT_UNIQUE = 2067
const UNIQUE_VIOLATION = '23505' // PostgreSQL

function isDuplicate(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if ('errcode' in error) {
    return error.errcode === SQLITE_CONSTRAINT_UNIQUE || error.errcode === SQLITE_CONSTRAINT_PRIMARYKEY
  }
  return 'code' in error && error.code === UNIQUE_VIOLATION
}
