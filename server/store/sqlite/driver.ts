// kysely's driver over one SQLite connection. Transactions take turns; whoever has committed gives up its turn and then
// waits for the disk, so that all who commit meanwhile share one wait. A second driver over the same connection does
// not wait at all. Leaves out how the file is opened and what its errors mean (../sqlite.ts).
//
//   turn:   begin ─ statements ─ commit │ next transaction …
//   wait:                               └─ flush, shared ─► the promise of the commit resolves
//
// Others may read what was committed a moment before it is on the disk; nobody is promised it before.

import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler
} from 'kysely'

export interface Session {
  /** Runs one statement at once. */
  readonly run: (sql: string, parameters: readonly unknown[]) => QueryResult<unknown>
  /** False when an error (a full disk) has ended the transaction already. */
  readonly inTransaction: () => boolean
  readonly turns: Turns
  /** Gives the file back when nothing is under way any more. */
  readonly close: () => Promise<void>
}

/** `flush` resolves when all that was committed before would survive a power cut; null: nobody waits for that. */
export function sqliteDialect(session: Session, flush: (() => Promise<void>) | null): Dialect {
  return {
    createDriver: () => new SessionDriver(session, flush),
    createQueryCompiler: () => new SqliteQueryCompiler(),
    createAdapter: () => new TurnsAdapter(),
    createIntrospector: db => new SqliteIntrospector(db)
  }
}

/** kysely would hold its own lock until the wait is over. */
class TurnsAdapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true
  }
}

export interface Turns {
  readonly take: () => Promise<void>
  readonly pass: () => void
}

/** First come, first served. */
export function createTurns(): Turns {
  const waiting: (() => void)[] = []
  let taken = false
  return {
    async take() {
      if (taken) await new Promise<void>(resolve => waiting.push(resolve))
      taken = true
    },
    pass() {
      const next = waiting.shift()
      if (next === undefined) taken = false
      else next() // still taken, by that one
    }
  }
}

class SessionDriver implements Driver {
  readonly #session: Session
  readonly #flush: (() => Promise<void>) | null

  constructor(session: Session, flush: (() => Promise<void>) | null) {
    this.#session = session
    this.#flush = flush
  }

  async init(): Promise<void> {
    // The file is open already.
  }

  async acquireConnection(): Promise<SessionConnection> {
    const connection = new SessionConnection(this.#session, this.#flush)
    await connection.take()
    return connection
  }

  async beginTransaction(connection: SessionConnection): Promise<void> {
    connection.begin()
  }

  async commitTransaction(connection: SessionConnection): Promise<void> {
    await connection.commit()
  }

  async rollbackTransaction(connection: SessionConnection): Promise<void> {
    connection.rollback()
  }

  async releaseConnection(connection: SessionConnection): Promise<void> {
    connection.pass()
  }

  async destroy(): Promise<void> {
    await this.#session.close()
  }
}

/** One turn on the session. */
class SessionConnection implements DatabaseConnection {
  readonly #session: Session
  readonly #flush: (() => Promise<void>) | null
  #holds = false
  #inTransaction = false

  constructor(session: Session, flush: (() => Promise<void>) | null) {
    this.#session = session
    this.#flush = flush
  }

  async take(): Promise<void> {
    await this.#session.turns.take()
    this.#holds = true
  }

  pass(): void {
    if (!this.#holds) return
    this.#holds = false
    this.#session.turns.pass()
  }

  begin(): void {
    // A deferred transaction that reads first cannot wait for the write lock later (SQLITE_BUSY at once).
    this.#session.run('begin immediate', [])
    this.#inTransaction = true
  }

  async commit(): Promise<void> {
    this.#session.run('commit', [])
    this.#inTransaction = false
    await this.#settle()
  }

  /** After a commit whose wait has failed there is nothing left to roll back. */
  rollback(): void {
    if (!this.#inTransaction) return
    this.#inTransaction = false
    // A full disk or a failed one has ended the transaction already (https://sqlite.org/lang_transaction.html).
    if (this.#session.inTransaction()) this.#session.run('rollback', [])
  }

  async executeQuery<R>({ sql, parameters, query }: CompiledQuery): Promise<QueryResult<R>> {
    if (!this.#holds) await this.take()
    const result = this.#session.run(sql, parameters) as QueryResult<R>
    if (!this.#inTransaction && query.kind !== 'SelectQueryNode') await this.#settle()
    return result
  }

  async *streamQuery<R>(query: CompiledQuery): AsyncIterableIterator<QueryResult<R>> {
    yield await this.executeQuery<R>(query)
  }

  async #settle(): Promise<void> {
    this.pass()
    await this.#flush?.()
  }
}
