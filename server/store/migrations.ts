// The numbered steps that make a database what schema.ts says, oldest first. A step that was released is never
// edited and never undone; a database made by a newer version is refused.

import { sql } from 'kysely'
import { Fault } from '../core/fault.ts'
import { spine } from './migrations/0001-spine.ts'
import { identity } from './migrations/0002-identity.ts'
import { leases } from './migrations/0003-leases.ts'
import type { DialectName, Migration } from './migrations/step.ts'
import type { Db } from './schema.ts'
import { inTransaction } from './transaction.ts'

export const migrations: readonly Migration[] = [spine, identity, leases]

/** An arbitrary number that only our migrations lock: servers that start together take turns. */
const MIGRATION_LOCK = 7_305_114

/** Brings the database up to date, each step in a transaction. Returns the names of the steps it took. */
export async function migrate(
  db: Db,
  dialect: DialectName,
  now: Date,
  steps: readonly Migration[] = migrations
): Promise<string[]> {
  const taken: string[] = []
  for (const step of steps) {
    const done = await inTransaction(db, async trx => {
      const reached = await lockedVersion(trx, dialect)
      refuseNewer(reached, steps.at(-1)!.number)
      if (reached >= step.number) return false
      for (const statement of step.statements(dialect)) await sql.raw(statement).execute(trx)
      const values = sql.join([step.number, step.name, now.toISOString()])
      await sql`insert into migrations (number, name, applied_at) values (${values})`.execute(trx)
      return true
    })
    if (done) taken.push(step.name)
  }
  return taken
}

/** SQLite's transaction is a lock in itself (begin immediate). */
async function lockedVersion(trx: Db, dialect: DialectName): Promise<number> {
  if (dialect === 'postgres') await sql`select pg_advisory_xact_lock(${MIGRATION_LOCK})`.execute(trx)
  await sql
    .raw(
      'create table if not exists migrations (number integer primary key, name text not null, applied_at text not null)'
    )
    .execute(trx)
  const { rows } = await sql<{ reached: number | null }>`select max(number) as reached from migrations`.execute(trx)
  return rows[0]?.reached ?? 0
}

function refuseNewer(reached: number, known: number): void {
  if (reached <= known) return
  const which = `step ${reached}, this one knows ${known}`
  const message = `the database was made by a newer Slipway (${which}); install that version, or restore a backup`
  throw new Fault('unavailable', message)
}
