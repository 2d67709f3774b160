// Opens the store that the configuration names and brings it up to date. The dialects differ only below here.

import { join } from 'node:path'
import { type Dialect, Kysely } from 'kysely'
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
  /** A commit that resolved would survive a power cut. */
  readonly db: Db
  /** The same store: its transactions survive the end of this process, not of the power, and wait for no disk. */
  readonly relaxed: Db
  readonly dialect: DialectName
  /** The migrations taken at this opening; empty when it was up to date. */
  readonly migrated: readonly string[]
  close(): Promise<void>
}

/** Throws a Fault(unavailable) whose message says what is wrong with the file or the server and what to do. */
export async function openDatabase(config: DatabaseConfig, deps: DatabaseDeps): Promise<Database> {
  const dialect: DialectName = config.database === null ? 'sqlite' : 'postgres'
  const { db, relaxed } =
    config.database === null ? await openFile(config.data) : await openServer(config.database, deps)
  try {
    const migrated = await migrate(db, dialect, deps.now())
    return { db, relaxed, dialect, migrated, close: () => closeBoth({ db, relaxed }) }
  } catch (error) {
    await closeBoth({ db, relaxed })
    throw error
  }
}

type Both = Pick<Database, 'db' | 'relaxed'>

/** The file or the pool belongs to the first. */
async function closeBoth({ db, relaxed }: Both): Promise<void> {
  await relaxed.destroy()
  await db.destroy()
}

// Each dialect is loaded only when used: its driver costs memory and start-up time.

async function openFile(data: string): Promise<Both> {
  const { openSqlite } = await import('./sqlite.ts')
  return both(openSqlite(data === ':memory:' ? data : join(data, 'slipway.db')))
}

async function openServer(url: string, { failed }: DatabaseDeps): Promise<Both> {
  const { openPostgres } = await import('./postgres.ts')
  return both(openPostgres(url, failed))
}

function both({ durable, relaxed }: { readonly durable: Dialect; readonly relaxed: Dialect }): Both {
  return { db: new Kysely<Schema>({ dialect: durable }), relaxed: new Kysely<Schema>({ dialect: relaxed }) }
}
