// What was promised survives a power cut: the embedded store is opened on a disk that is a test's, which keeps what it
// was asked to keep and forgets the rest.

import { copyFileSync, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { Kysely, sql } from 'kysely'
import t, { type Test } from 'tap'
import type { Lease } from '../../../server/core/allocation.ts'
import { addEvent, listEvents } from '../../../server/store/events.ts'
import { listLeases, saveLeases } from '../../../server/store/leases.ts'
import { migrate } from '../../../server/store/migrations.ts'
import type { Db, Schema } from '../../../server/store/schema.ts'
import { openSqlite, type Sync } from '../../../server/store/sqlite.ts'
import { inTransaction } from '../../../server/store/transaction.ts'
import { createBus, transact } from '../../../server/timeline.ts'
import { openDatabase } from '../../../server/store/database.ts'
import { freshPostgres, later, needsPostgres, noon } from '../../helpers/database.ts'
import { seeded } from '../../helpers/random.ts'

async function open(t: Test, sync?: Sync): Promise<{ data: string; db: Db; relaxed: Db }> {
  const data = join(t.testdir(), 'data')
  const { durable, relaxed } = openSqlite(join(data, 'slipway.db'), sync)
  const both = { db: new Kysely<Schema>({ dialect: durable }), relaxed: new Kysely<Schema>({ dialect: relaxed }) }
  await migrate(both.db, 'sqlite', noon)
  t.teardown(async () => {
    await both.relaxed.destroy()
    await both.db.destroy()
  })
  return { data, ...both }
}

/** Holds each wait for the disk until the test lets it end. */
function heldDisk() {
  const held: PromiseWithResolvers<void>[] = []
  const disk = { held, isOpen: true }
  const sync: Sync = () => {
    const wait = Promise.withResolvers<void>()
    if (disk.isOpen) wait.resolve()
    else held.push(wait)
    return wait.promise
  }
  return { disk, sync }
}

const event = { type: 'dhcp.discover', message: 'x' }
const count = async (db: Db): Promise<number> => (await listEvents(db, { limit: 10_000 })).length

/** Whether it has ended after some turns of the event loop: long enough for all that does not wait for the disk. */
async function isOver(work: Promise<unknown>): Promise<boolean> {
  let over = false
  void work.then(() => (over = true))
  for (let i = 0; i < 20; i++) await turn()
  return over
}

t.test('a commit resolves after the disk, a relaxed one before; nobody else waits', async t => {
  const { disk, sync } = heldDisk()
  const { db, relaxed } = await open(t, sync)
  disk.isOpen = false
  const first = addEvent(db, event, noon)
  t.notOk(await isOver(first))
  t.ok(await isOver(addEvent(relaxed, event, noon)))
  t.ok(await isOver(inTransaction(relaxed, async trx => addEvent(trx, event, noon))))
  t.equal(await count(db), 3, 'who reads does not wait')
  const more = [1, 2, 3].map(() => inTransaction(db, async trx => addEvent(trx, event, noon)))
  t.notOk(await isOver(Promise.race(more)))
  t.equal(disk.held.length, 1)
  disk.held[0]!.resolve()
  t.ok(await isOver(first))
  t.equal(disk.held.length, 2, 'one wait for the three')
  t.notOk(await isOver(Promise.race(more)))
  disk.held[1]!.resolve()
  await Promise.all(more)
  disk.isOpen = true
})

t.test('events are told after the disk', async t => {
  const { disk, sync } = heldDisk()
  const { db } = await open(t, sync)
  const bus = createBus()
  let told = 0
  bus.subscribe(() => (told += 1))
  disk.isOpen = false
  const work = transact({ db, bus, now: () => noon }, async (_, add) => add(event))
  t.notOk(await isOver(work))
  t.equal(told, 0)
  disk.held[0]!.resolve()
  await work
  t.equal(told, 1)
  disk.isOpen = true
})

t.test('a disk that failed: nothing is promised from then on', async t => {
  const failed = Object.assign(new Error('input/output error'), { code: 'EIO' })
  let works = true
  const { db } = await open(t, async () => {
    if (!works) throw failed
  })
  await addEvent(db, event, noon)
  works = false
  const want = { code: 'unavailable', message: /the disk that holds .*slipway\.db failed \(EIO\): .*start again/ }
  await t.rejects(addEvent(db, event, noon), want)
  await t.rejects(
    inTransaction(db, async trx => addEvent(trx, event, noon)),
    want
  )
  works = true
  await t.rejects(addEvent(db, event, noon), want, 'what was lost is not known')
  t.ok((await count(db)) > 0, 'reading goes on')
})

// The files as they were when a wait began are what a power cut leaves at least.
t.test('whatever was promised is in the files of the last wait, and nothing by halves', async t => {
  const seed = Number(process.env['SLIPWAY_SEED'] ?? 20_260_102)
  t.comment(`SLIPWAY_SEED=${seed}`)
  const random = seeded(seed)
  const cuts: string[] = []
  let keep = false
  const { data, db, relaxed } = await open(t, async () => {
    if (!keep) return
    const folder = join(data, `cut-${cuts.length}`)
    mkdirSync(folder)
    for (const name of ['slipway.db', 'slipway.db-wal']) copyFileSync(join(data, name), join(folder, name))
    await turn()
    cuts.push(folder)
  })
  keep = true
  const batches: Lease[][] = []
  const promised: Lease[] = []
  const works: Promise<void>[] = []
  let next = 1
  while (next <= 200) {
    const batch = Array.from({ length: 1 + Math.floor(random() * 9) }, (_, n) => leaseOf(next + n))
    next += batch.length
    batches.push(batch)
    if (random() < 0.3) works.push(addEvent(relaxed, event, noon).then(() => undefined))
    const work = async (): Promise<void> => {
      await saveLeases(db, batch)
      promised.push(...batch)
      const [all, cut] = [[...promised], cuts.at(-1)!] // at this moment the power may go
      const left = await leasesIn(cut)
      t.ok(isWithin(all, left), `all of ${all.length} promised leases are there`)
      t.ok(
        batches.every(each => isWithin(each, left) || !each.some(({ address }) => left.has(address))),
        'each batch whole or not at all'
      )
    }
    works.push(work())
    if (random() < 0.5) await turn()
  }
  await Promise.all(works)
  t.ok(cuts.length < batches.length, `${cuts.length} waits for ${batches.length} commits`)
})

function leaseOf(n: number): Lease {
  return {
    address: `10.0.0.${n}`,
    mac: `52:54:00:00:00:${n.toString(16).padStart(2, '0')}`,
    hostname: null,
    grantedAt: noon,
    expiresAt: later(3600),
    state: 'bound'
  }
}

/** As the next start finds them. */
async function leasesIn(folder: string): Promise<Set<string>> {
  const db = new Kysely<Schema>({ dialect: openSqlite(join(folder, 'slipway.db')).durable })
  const leases = await listLeases(db)
  await db.destroy()
  return new Set(leases.map(({ address }) => address))
}

function isWithin(leases: readonly Lease[], left: ReadonlySet<string>): boolean {
  return leases.every(({ address }) => left.has(address))
}

t.test('SQLite itself waits for no disk but at its checkpoints, and keeps the log that we wait for', async t => {
  const { db, data } = await open(t)
  const { rows } = await sql<{ s: number }>`select synchronous as s from pragma_synchronous`.execute(db)
  t.same(rows, [{ s: 1 }])
  t.ok(existsSync(join(data, 'slipway.db-wal')))
})

t.test('where there can be no such log, SQLite waits at each commit', async t => {
  const { durable } = openSqlite(':memory:')
  const db = new Kysely<Schema>({ dialect: durable })
  const { rows } = await sql<{ s: number }>`select synchronous as s from pragma_synchronous`.execute(db)
  t.same(rows, [{ s: 2 }])
  await db.destroy()
})

t.test('PostgreSQL: a relaxed transaction weakens itself alone', needsPostgres(), async t => {
  const database = `${await freshPostgres()}${encodeURIComponent(' -c synchronous_commit=on')}`
  const { db, relaxed, close } = await openDatabase({ database, data: '' }, { now: () => noon, failed: () => {} })
  t.teardown(close)
  const setting = async (store: Db): Promise<string | undefined> =>
    inTransaction(store, async trx => {
      const { rows } = await sql<{ synchronous_commit: string }>`show synchronous_commit`.execute(trx)
      return rows[0]?.synchronous_commit
    })
  for (const round of [1, 2]) {
    t.equal(await setting(db), 'on', `round ${round}`)
    t.equal(await setting(relaxed), 'off', `round ${round}`)
  }
  t.same(await saveLeases(relaxed, [leaseOf(1)]), [null])
  t.equal((await listLeases(db)).length, 1)
})
