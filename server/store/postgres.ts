// PostgreSQL behind kysely's dialect: a bounded pool, numbers as numbers, and connection trouble as faults.
// For several servers that share one store. Passwords come from PGPASSFILE or the URL; neither is ever shown.

import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  PostgresDialect,
  PostgresDriver,
  type PostgresPool,
  type PostgresPoolClient,
  type TransactionSettings
} from 'kysely'
import { Pool, type PoolClient, types } from 'pg'
import { Fault } from '../core/fault.ts'
import { storable } from './text.ts'

const CONNECTIONS_MAX = 10
const CONNECT_TIMEOUT_MS = 10_000
/** A query of ours takes milliseconds; one that waits this long waits for a lock that nobody will give back. */
const STATEMENT_TIMEOUT_MS = 30_000

export interface PostgresDialects {
  /** A commit that resolved would survive a power cut, as far as the server's own synchronous_commit says. */
  readonly durable: Dialect
  /** The same pool, whose transactions do not wait for the server's disk. */
  readonly relaxed: Dialect
}

/** `failed` hears of idle connections that broke; the pool replaces them. */
export function openPostgres(url: string, failed: (error: Error) => void): PostgresDialects {
  const pool = new Pool({
    connectionString: url,
    max: CONNECTIONS_MAX,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    application_name: 'slipway',
    // Identities and counts are int8, which pg gives as text; ours stay far below 2^53.
    types: { getTypeParser: (oid, format) => (oid === types.builtins.INT8 ? Number : types.getTypeParser(oid, format)) }
  })
  pool.on('error', failed)
  const guarded = new WeakMap<PoolClient, PostgresPoolClient>()
  const own: PostgresPool = {
    options: {},
    end: () => pool.end(),
    async connect() {
      const client = await guard(() => pool.connect())
      const known = guarded.get(client) ?? guardClient(client)
      guarded.set(client, known)
      return known
    }
  }
  const shared: PostgresPool = { ...own, end: async () => undefined }
  return { durable: new PostgresDialect({ pool: own }), relaxed: new RelaxedDialect({ pool: shared }) }
}

class RelaxedDialect extends PostgresDialect {
  readonly #pool: PostgresPool

  constructor({ pool }: { readonly pool: PostgresPool }) {
    super({ pool })
    this.#pool = pool
  }

  override createDriver(): PostgresDriver {
    return new RelaxedDriver({ pool: this.#pool })
  }
}

/** For one transaction at a time: nobody else who has the connection later is weakened. */
class RelaxedDriver extends PostgresDriver {
  override async beginTransaction(connection: DatabaseConnection, settings: TransactionSettings): Promise<void> {
    await super.beginTransaction(connection, settings)
    await connection.executeQuery(CompiledQuery.raw('set local synchronous_commit to off'))
  }
}

/** kysely keys its connections by this object, so there is one for each client. */
function guardClient(client: PoolClient): PostgresPoolClient {
  const query = (text: string, parameters: readonly unknown[] = []) =>
    guard(() => client.query(text, parameters.map(storableValue)))
  const release = (discard?: boolean): void => client.release(discard)
  // kysely's type also knows cursors, which we do not pass.
  return { query, release } as unknown as PostgresPoolClient
}

function storableValue(value: unknown): unknown {
  return typeof value === 'string' ? storable(value) : value
}

async function guard<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const message = sentence(error)
    throw message === null ? error : new Fault('unavailable', message, { cause: error })
  }
}

/** SQLSTATE classes, https://www.postgresql.org/docs/15/errcodes-appendix.html, and Node's connection errors. */
function sentence(error: unknown): string | null {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const text = error instanceof Error ? error.message : ''
  if (code === '53100') return "PostgreSQL's disk is full; free some space on the database server"
  if (code === '53300') return 'PostgreSQL has no connection left; raise max_connections or stop other clients'
  if (code.startsWith('28')) return 'PostgreSQL refused our user or password; check database and PGPASSFILE'
  if (code === '3D000') return 'the database does not exist in PostgreSQL; create it with createdb'
  if (code === '42501') return 'PostgreSQL refuses our user the right to do this; make it the owner of its schema'
  if (code === '25006') return 'PostgreSQL is read-only (a standby?); name the primary in database'
  if (code === '57014' || code === '55P03') return 'PostgreSQL took too long; look for locks held by other clients'
  if (/^(08|57P|XX00[12])/.test(code)) return 'PostgreSQL is down or starting; start it, we will try again'
  // connect(2), for a path that is longer than unix(7) sun_path.
  if (code === 'EINVAL') return "the path of PostgreSQL's socket (host in database) is longer than 107 bytes"
  if (/^(ECONN|ENOENT|EACCES|ENOTFOUND|EHOST|ENET|ETIMEDOUT|EPIPE|EAI_)/.test(code)) {
    return `cannot reach PostgreSQL (${code}); check that it runs and that database names it`
  }
  // pg gives these two no code (pg-pool 3, pg 8).
  if (/timeout exceeded when trying to connect|Connection terminated/.test(text)) {
    return 'lost the connection to PostgreSQL; check that it runs'
  }
  return null
}
