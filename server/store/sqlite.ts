// The embedded database: node:sqlite, whose one connection is shared by all of this process (sqlite/driver.ts: how it
// takes turns). Keeps prepared statements, waits for the disk beside the main thread, and turns what the disk can do to
// us (full, read-only, damaged) into faults that say what to do.

import { closeSync, existsSync, fdatasync, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { promisify } from 'node:util'
import type { Dialect, QueryResult } from 'kysely'
import { Fault } from '../core/fault.ts'
import { createFlush } from '../core/flush.ts'
import { createTurns, type Session, sqliteDialect } from './sqlite/driver.ts'
import { storable } from './text.ts'

/** How long another process (a backup, a second server started by mistake) may hold the write lock. */
const BUSY_TIMEOUT_MS = 5_000

/**
 * Pages of the log (4 KB each) before they are copied into the file, for which the main thread waits. By default 1,000
 * are soon full while a rack boots, and most of them hold the same few pages again.
 */
const CHECKPOINT_PAGES = 8_000

/** The code issues a bounded set of query texts; lists of different length in `in (…)` are the only variation. */
const STATEMENTS_MAX = 500

export interface SqliteDialects {
  /** A commit that resolved would survive a power cut. */
  readonly durable: Dialect
  /** The same connection, whose commits survive the end of this process, but wait for no disk. */
  readonly relaxed: Dialect
}

/** Resolves when what was written to that file (fd) before is on the disk. Tests count, delay and break it. */
export type Sync = (fd: number) => Promise<void>

/**
 * Opens (or creates, mode 0600 in a folder of mode 0700) the database file. Write-ahead log with synchronous=NORMAL,
 * by which SQLite itself waits for the disk at checkpoints alone; we wait after each commit as FULL would (it syncs the
 * log: https://sqlite.org/pragma.html#pragma_synchronous), but once for many and not on the main thread. `:memory:` is
 * for tests. Throws a Fault(unavailable) when the file cannot be opened or is not a sound SQLite database.
 */
export function openSqlite(file: string, sync: Sync = promisify(fdatasync)): SqliteDialects {
  const sqlite = open(file)
  const log = openLog(sqlite, file)
  const flush = log === null ? null : createFlush(() => guardSync(file, log, sync))
  const session: Session = {
    run: runner(sqlite, file),
    inTransaction: () => sqlite.isTransaction,
    turns: createTurns(),
    async close() {
      // Who waited for the disk has been told why it failed.
      await flush?.().catch(() => null)
      if (log !== null) closeSync(log)
      sqlite.close()
    }
  }
  const relaxed: Session = { ...session, close: async () => undefined }
  return { durable: sqliteDialect(session, flush), relaxed: sqliteDialect(relaxed, null) }
}

function runner(sqlite: DatabaseSync, file: string): Session['run'] {
  const statements = new Map<string, { readonly statement: StatementSync; readonly reads: boolean }>()
  const prepare = (sql: string): { readonly statement: StatementSync; readonly reads: boolean } => {
    const known = statements.get(sql)
    if (known !== undefined) return known
    if (statements.size >= STATEMENTS_MAX) statements.clear()
    const statement = sqlite.prepare(sql)
    const prepared = { statement, reads: statement.columns().length > 0 }
    statements.set(sql, prepared)
    return prepared
  }
  const run = (sql: string, parameters: readonly unknown[]): QueryResult<unknown> => {
    const { statement, reads } = prepare(sql)
    if (reads) return { rows: statement.all(...bound(parameters)) }
    const { changes } = statement.run(...bound(parameters))
    return { rows: [], numAffectedRows: BigInt(changes) }
  }
  return (sql, parameters) => guard(file, () => run(sql, parameters))
}

function open(file: string): DatabaseSync {
  if (file !== ':memory:') touch(file)
  return guard(file, () => {
    const sqlite = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS, enableForeignKeyConstraints: true })
    try {
      sqlite.exec(`pragma journal_mode = wal; pragma wal_autocheckpoint = ${CHECKPOINT_PAGES}`)
      check(sqlite, file)
    } catch (error) {
      sqlite.close()
      throw error
    }
    return sqlite
  })
}

/**
 * The write-ahead log, for us to sync: it is one file as long as our connection is open. Null in memory, and where the
 * file system can hold no such log (it needs shared memory): then SQLite syncs each commit itself.
 */
function openLog(sqlite: DatabaseSync, file: string): number | null {
  const [mode] = Object.values(sqlite.prepare('pragma journal_mode').get() ?? {})
  sqlite.exec(`pragma synchronous = ${mode === 'wal' ? 'normal' : 'full'}`)
  if (mode !== 'wal') return null
  const folder = openSync(dirname(file), 'r')
  fsyncSync(folder) // the log's name in its folder, too
  closeSync(folder)
  return openSync(`${file}-wal`, 'r+')
}

async function guardSync(file: string, log: number, sync: Sync): Promise<void> {
  try {
    await sync(log)
  } catch (cause) {
    const message = `the disk that holds ${file} failed (${codeOf(cause)}): look at the kernel's log, then start again`
    throw unavailable(message, cause)
  }
}

/** SQLite would create the file with the process's umask, and its -wal and -shm take over the mode of the file. */
function touch(file: string): void {
  try {
    makeFolder(dirname(file))
    closeSync(openSync(file, 'a', 0o600))
  } catch (error) {
    throw new Fault('unavailable', `cannot write ${file} (${codeOf(error)}): ${remedyOf(error)}`, { cause: error })
  }
}

/** Not mkdir's own `recursive`: where the file system answers ENOENT for ever (/proc), Node 26 never returns. */
function makeFolder(path: string): void {
  if (existsSync(path)) return
  if (dirname(path) !== path) makeFolder(dirname(path))
  mkdirSync(path, { mode: 0o700 })
}

/** A half-written or half-restored file opens well and fails later, in the middle of a boot: look now. */
function check(sqlite: DatabaseSync, file: string): void {
  const row = sqlite.prepare('pragma quick_check(1)').get()
  if (row?.quick_check !== 'ok') throw damaged(file, new Error(String(row?.quick_check)))
}

/** Primary result codes, https://sqlite.org/rescode.html; extended codes keep them in the low byte. */
const sqliteFaults: Record<number, (file: string, cause: unknown) => Fault> = {
  5: (file, cause) => unavailable(`another process keeps ${file} locked; stop the other server that uses it`, cause),
  8: (file, cause) => unavailable(`${file} is read-only; make the data folder writable for this user`, cause),
  10: (file, cause) => unavailable(`the disk failed while using ${file}; look at the kernel's log`, cause),
  11: (file, cause) => damaged(file, cause),
  13: (file, cause) => unavailable(`the disk that holds ${file} is full; free some space`, cause),
  14: (file, cause) => unavailable(`cannot open ${file}; check that the data folder exists and is writable`, cause),
  26: (file, cause) => damaged(file, cause)
}

function guard<T>(file: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    const fault = sqliteFaults[primaryCode(error)]
    throw fault === undefined ? error : fault(file, error)
  }
}

function primaryCode(error: unknown): number {
  const errcode = error instanceof Error && 'errcode' in error ? error.errcode : 0
  return typeof errcode === 'number' ? errcode & 0xff : 0
}

function damaged(file: string, cause: unknown): Fault {
  return unavailable(`${file} is not a sound SQLite database; move it away and restore a backup`, cause)
}

function unavailable(message: string, cause: unknown): Fault {
  return new Fault('unavailable', message, { cause })
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
}

function remedyOf(error: unknown): string {
  switch (codeOf(error)) {
    case 'ENOSPC':
      return 'the disk is full; free some space'
    case 'EACCES':
    case 'EPERM':
      return 'give this user the data folder, or name another one'
    case 'EROFS':
      return 'the file system is read-only; name another data folder'
    default:
      return 'name another data folder'
  }
}

function bound(parameters: readonly unknown[]): SQLInputValue[] {
  return parameters.map(value => (typeof value === 'string' ? storable(value) : (value as SQLInputValue)))
}
