// Opening, migrating, and what the disk and the server can do to us.

import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import t from 'tap'
import { Fault } from '../../../server/core/fault.ts'
import { openDatabase } from '../../../server/store/database.ts'
import { addEvent, listEvents } from '../../../server/store/events.ts'
import { migrate, migrations } from '../../../server/store/migrations.ts'
import type { Db } from '../../../server/store/schema.ts'
import { inTransaction } from '../../../server/store/transaction.ts'
import { forEachDialect, freshPostgres, needsPostgres, noon } from '../../helpers/database.ts'

const deps = { now: () => noon, failed: () => {} }
const inFolder = (data: string) => openDatabase({ database: null, data }, deps)
const count = async (db: Db): Promise<number> => (await listEvents(db, { limit: 1000 })).length

/** What no migration has yet. */
const nextStep = migrations.length + 1

forEachDialect(t, 'migrates once', async (t, db, { dialect, migrated }) => {
  t.same(
    migrated,
    migrations.map(({ name }) => name)
  )
  t.same(await migrate(db, dialect, noon), [])
  const { rows } = await sql`select * from migrations order by number`.execute(db)
  t.match(rows, [{ number: 1, name: '0001-spine', applied_at: noon.toISOString() }])
})

forEachDialect(t, 'a step that fails leaves nothing behind', async (t, db, { dialect }) => {
  const bad = { number: nextStep, name: '99-bad', statements: () => ['create table half (a integer)', 'create tabel'] }
  await t.rejects(migrate(db, dialect, noon, [...migrations, bad]), /syntax/)
  await t.rejects(sql`select * from half`.execute(db))
  const good = { number: nextStep, name: '99-good', statements: () => ['create table half (a integer)'] }
  t.same(await migrate(db, dialect, noon, [...migrations, good]), ['99-good'])
})

forEachDialect(t, 'a database of a newer version is refused', async (t, db, { dialect }) => {
  await sql`insert into migrations (number, name, applied_at) values (99, '0099-later', '')`.execute(db)
  const want = { code: 'unavailable', message: /made by a newer Slipway \(step 99.*install that version/ }
  await t.rejects(migrate(db, dialect, noon), want)
})

forEachDialect(t, 'servers that start together migrate once', async (t, db, { dialect }) => {
  const step = { number: nextStep, name: '99-once', statements: () => ['create table once (a integer)'] }
  const runs = await Promise.all([1, 2, 3, 4].map(() => migrate(db, dialect, noon, [...migrations, step])))
  t.same(runs.flat(), ['99-once'])
})

forEachDialect(t, 'a transaction is all or nothing, also within another', async (t, db) => {
  const event = { type: 'dhcp.discover', message: 'x' }
  const work = inTransaction(db, async outer => {
    await addEvent(outer, event, noon)
    await inTransaction(outer, async inner => addEvent(inner, event, noon))
    t.equal(await count(outer), 2)
    throw new Error('no')
  })
  await t.rejects(work, /no/)
  t.equal(await count(db), 0)
})

forEachDialect(t, 'queries beside a transaction wait or go on, but never take part', async (t, db) => {
  const event = { type: 'dhcp.discover', message: 'x' }
  const many = Array.from({ length: 20 }, (_, i) =>
    i % 2 === 0 ? addEvent(db, event, noon) : inTransaction(db, async trx => addEvent(trx, event, noon))
  )
  const failing = inTransaction(db, async trx => {
    await addEvent(trx, event, noon)
    throw new Error('no')
  })
  await t.rejects(failing, /no/)
  await Promise.all(many)
  t.equal(await count(db), 20)
})

t.test('the file is ours alone and survives a restart', async t => {
  const data = join(t.testdir(), 'new', 'data')
  const first = await inFolder(data)
  await addEvent(first.db, { type: 'dhcp.discover', message: 'x' }, noon)
  t.equal(statSync(data).mode & 0o777, 0o700)
  for (const name of ['slipway.db', 'slipway.db-wal']) t.equal(statSync(join(data, name)).mode & 0o777, 0o600, name)
  await first.close()
  const second = await inFolder(data)
  t.same(second.migrated, [])
  t.equal(await count(second.db), 1)
  await second.close()
})

t.test('a folder that is a file', async t => {
  const data = join(t.testdir({ data: 'text' }), 'data')
  await t.rejects(inFolder(data), {
    code: 'unavailable',
    message: /cannot write .*slipway\.db \(E.*another data folder/
  })
})

if (process.getuid?.() !== 0) {
  // Root may write anywhere.
  t.test('a folder that cannot be written', async t => {
    const data = join(t.testdir(), 'data')
    mkdirSync(data)
    chmodSync(data, 0o500)
    await t.rejects(inFolder(data), { code: 'unavailable', message: /give this user the data folder/ })
  })
}

// mkdir's own `recursive` never returns here.
t.test('a file system that takes no folders', async t => {
  await t.rejects(inFolder('/proc/slipway'), {
    code: 'unavailable',
    message: /cannot write .* \(ENOENT\): name another data folder/
  })
})

t.test('a file that is no database is left as it is', async t => {
  const data = t.testdir({ 'slipway.db': 'x'.repeat(5000) })
  const error = await inFolder(data).catch((error: unknown) => error)
  t.type(error, Fault)
  t.match(error, { code: 'unavailable', message: /not a sound SQLite database; move it away and restore a backup/ })
  t.equal(readFileSync(join(data, 'slipway.db'), 'utf8'), 'x'.repeat(5000))
})

t.test('a damaged page is found at the start', async t => {
  const data = t.testdir()
  const first = await inFolder(data)
  for (let i = 0; i < 200; i++) await addEvent(first.db, { type: 'dhcp.discover', message: 'x'.repeat(1000) }, noon)
  await first.close()
  const file = join(data, 'slipway.db')
  const bytes = readFileSync(file)
  bytes.fill(0xff, bytes.length - 3 * 4096)
  writeFileSync(file, bytes)
  await t.rejects(inFolder(data), { code: 'unavailable', message: /not a sound SQLite database/ })
})

t.test('a full disk is said in one sentence, and the store goes on when there is room', async t => {
  const { db, close } = await inFolder(t.testdir())
  t.teardown(close)
  const event = { type: 'dhcp.discover', message: 'x'.repeat(4000) }
  // SQLite's own limit gives the same result code as the disk (SQLITE_FULL).
  await sql`pragma max_page_count = 60`.execute(db)
  const fill = async (): Promise<void> => {
    for (let i = 0; i < 1000; i++) await addEvent(db, event, noon)
  }
  await t.rejects(fill(), {
    code: 'unavailable',
    message: /the disk that holds .*slipway\.db is full; free some space/
  })
  await sql`pragma max_page_count = 1000000`.execute(db)
  await addEvent(db, event, noon)
})

t.test('two processes: the second waits for the first', async t => {
  const data = t.testdir()
  const [one, two] = [await inFolder(data), await inFolder(data)]
  await addEvent(one.db, { type: 'dhcp.discover', message: 'x' }, noon)
  await addEvent(two.db, { type: 'dhcp.discover', message: 'x' }, noon)
  t.equal(await count(one.db), 2)
  await one.close()
  await two.close()
})

t.test('PostgreSQL that is not there', async t => {
  // Not in t.testdir(), whose path may be too long for a socket.
  const folder = mkdtempSync(join(tmpdir(), 'slipway-nowhere-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const at = (host: string) => ({ database: `postgres://slipway@/x?host=${encodeURIComponent(host)}`, data: '' })
  const missing = { code: 'unavailable', message: /cannot reach PostgreSQL \(ENOENT\); check that it runs/ }
  await t.rejects(openDatabase(at(folder), deps), missing)
  const long = { code: 'unavailable', message: /longer than 107 bytes/ }
  await t.rejects(openDatabase(at(join(folder, 'x'.repeat(100))), deps), long)
})

t.test('a database that PostgreSQL does not have', needsPostgres(), async t => {
  const database = (await freshPostgres()).replace('/postgres?', '/nowhere?')
  await t.rejects(openDatabase({ database, data: '' }, deps), {
    code: 'unavailable',
    message: /create it with createdb/
  })
})

t.test('PostgreSQL connections that are cut are replaced', needsPostgres(), async t => {
  const heard = Promise.withResolvers<Error>()
  const url = await freshPostgres()
  const { db, close } = await openDatabase({ database: url, data: '' }, { ...deps, failed: heard.resolve })
  const other = await openDatabase({ database: url, data: '' }, deps)
  t.teardown(close)
  await addEvent(db, { type: 'dhcp.discover', message: 'x' }, noon)
  const kill = sql`select pg_terminate_backend(pid) from pg_stat_activity
    where application_name = 'slipway' and pid <> pg_backend_pid()`
  await kill.execute(other.db)
  await other.close()
  t.match(await heard.promise, { message: /terminat/ })
  t.equal(await count(db), 1)
})
