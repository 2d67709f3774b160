// The embedded database: node:sqlite behind kysely's SQLite dialect. Keeps prepared statements, and turns what
// the disk can do to us (full, read-only, damaged) into faults that say what to do. One connection a process:
// kysely queues on it, so a transaction must use its own handle and never the outer one.

import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { type Dialect, SqliteDialect } from 'kysely'
import { Fault } from '../core/fault.ts'
import { storable } from './text.ts'

/** How long another process (a backup, a second server started by mistake) may hold the write lock. */
const BUSY_TIMEOUT_MS = 5_000

/** The code issues a bounded set of query texts; lists of different length in `in (…)` are the only variation. */
const STATEMENTS_MAX = 500

/**
 * Opens (or creates, mode 0600 in a folder of mode 0700) the database file. Write-ahead log with synchronous=FULL:
 * what was answered to a machine is on the disk before the answer leaves. `:memory:` is for tests.
 * Throws a Fault(unavailable) when the file cannot be opened or is not a sound SQLite database.
 */
export function sqliteDialect(file: string): Dialect {
  const sqlite = open(file)
  const statements = new Map<string, StatementSync>()
  const prepare = (sql: string): StatementSync => {
    const known = statements.get(sql)
    if (known !== undefined) return known
    if (statements.size >= STATEMENTS_MAX) statements.clear()
    const statement = sqlite.prepare(sql)
    statements.set(sql, statement)
    return statement
  }
  return new SqliteDialect({
    database: {
      close: () => sqlite.close(),
      prepare(text) {
        // A full disk or a failed one has ended the transaction already (https://sqlite.org/lang_transaction.html).
        if (text === 'rollback' && !sqlite.isTransaction) return nothing
        // A deferred transaction that reads first cannot wait for the write lock later (SQLITE_BUSY at once).
        const statement = guard(file, () => prepare(text === 'begin' ? 'begin immediate' : text))
        return {
          reader: statement.columns().length > 0,
          all: parameters => guard(file, () => statement.all(...bound(parameters))),
          run: parameters => guard(file, () => statement.run(...bound(parameters))),
          iterate: parameters => guard(file, () => statement.iterate(...bound(parameters)))
        }
      }
    }
  })
}

const nothing = {
  reader: false,
  all: () => [],
  run: () => ({ changes: 0, lastInsertRowid: 0 }),
  iterate: () => [][Symbol.iterator]()
}

function open(file: string): DatabaseSync {
  if (file !== ':memory:') touch(file)
  return guard(file, () => {
    const sqlite = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS, enableForeignKeyConstraints: true })
    try {
      sqlite.exec('pragma journal_mode = wal; pragma synchronous = full')
      check(sqlite, file)
    } catch (error) {
      sqlite.close()
      throw error
    }
    return sqlite
  })
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
