// Opens the store that the configuration names and brings it up to date. The dialects differ only below here.

import { join } from 'node:path'
import { Kysely } from 'kysely'
import { migrate } from './migrations.ts'
import type { DialectName } from './migrations/step.ts'
import type { Db, Schema } from './schema.ts'

export interface DatabaseConfig {
  /** postgres://… or null: SQLite in the data folder. */
  readonly database: string | null
  readonly data: string
}

export interface DatabaseDeps {
  readonly now: () => Date
  /** Hears of connections that broke while idle; they are replaced. */
  readonly failed: (error: Error) => void
}

export interface Database {
  readonly db: Db
  readonly dialect: DialectName
  /** The migrations taken at this opening; empty when it was up to date. */
  readonly migrated: readonly string[]
  close(): Promise<void>
}

/** Throws a Fault(unavailable) whose message says what is wrong with the file or the server and what to do. */
export async function openDatabase(config: DatabaseConfig, deps: DatabaseDeps): Promise<Database> {
  const dialect: DialectName = config.database === null ? 'sqlite' : 'postgres'
  const db = config.database === null ? await openSqlite(config.data) : await openPostgres(config.database, deps)
  try {
    const migrated = await migrate(db, dialect, deps.now())
    return { db, dialect, migrated, close: () => db.destroy() }
  } catch (error) {
    await db.destroy()
    throw error
  }
}

// Each dialect is loaded only when used: its driver costs memory and start-up time.

async function openSqlite(data: string): Promise<Db> {
  const { sqliteDialect } = await import('./sqlite.ts')
  return new Kysely<Schema>({ dialect: sqliteDialect(data === ':memory:' ? data : join(data, 'slipway.db')) })
}

async function openPostgres(url: string, { failed }: DatabaseDeps): Promise<Db> {
  const { postgresDialect } = await import('./postgres.ts')
  return new Kysely<Schema>({ dialect: postgresDialect(url, failed) })
}
