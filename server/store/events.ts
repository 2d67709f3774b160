// The timeline. Grows with every packet of every machine, so it is pruned as it grows: never a table without end.

import type { CompiledQuery, ExpressionBuilder, Selectable } from 'kysely'
import type { NewEvent, TimelineEvent } from '../contract/event.ts'
import type { Db, EventRow, Schema } from './schema.ts'
import { powersOfTwo, sizedQueries } from './sized.ts'
import { cut, TEXT_MAX_BYTES } from './text.ts'

/** Packets of strangers: anybody on the wire can make us write these. */
export const STRANGERS_MAX = 10_000
/** A machine that waits at its boot screen for weeks must not push out everything else. */
export const PER_MACHINE_MAX = 5_000
/** Whoever writes each so-manieth event is pruned: who writes most is looked at most, and nobody waits for it. */
const PRUNE_EVERY = 500

export interface EventFilter {
  /** Events of this machine … */
  readonly machine?: string | undefined
  /** … and those of its MACs before anybody knew whose they were. */
  readonly macs?: readonly string[] | undefined
  readonly boot?: string | undefined
  /** Only those with a greater id, oldest first: how a watcher resumes. Without it, the newest `limit`. */
  readonly after?: number | undefined
  readonly limit: number
}

export async function addEvent(db: Db, event: NewEvent, now: Date): Promise<TimelineEvent> {
  const [added] = await addEvents(db, [event], now)
  return added!
}

/** Several of one time, in their order. */
export async function addEvents(db: Db, events: readonly NewEvent[], now: Date): Promise<TimelineEvent[]> {
  const written: TimelineEvent[] = []
  for (const piece of powersOfTwo(events.map(event => toRow(event, now)))) {
    const parameters = piece.flatMap(row => columns.map(name => row[name]))
    const { rows } = await db.executeQuery<{ id: number }>({ ...insertFor(db, piece.length), parameters })
    // A statement gives its rows in no promised order, but numbers them as they came.
    const ids = rows.map(({ id }) => id).toSorted((one, other) => one - other)
    written.push(...piece.map((row, n) => fromRow({ id: ids[n]!, ...row })))
  }
  for (const { id, machine } of written) {
    if (id % PRUNE_EVERY === 0) await keepNewest(db, machine, machine === null ? STRANGERS_MAX : PER_MACHINE_MAX)
  }
  return written
}

type PlainRow = Omit<Selectable<EventRow>, 'id'>

/** In the order in which the query takes its parameters. */
const columns = ['at', 'type', 'machine', 'boot', 'mac', 'level', 'message', 'detail'] as const

const insertFor = sizedQueries((db, size): CompiledQuery<{ id: number }> => {
  const row = Object.fromEntries(columns.map(name => [name, ''])) as unknown as PlainRow
  const insert = db.insertInto('events').values(Array.from({ length: size }, () => row))
  return insert.returning('id').compile()
})

function toRow(event: NewEvent, now: Date): PlainRow {
  return {
    at: now.toISOString(),
    type: event.type,
    machine: event.machine ?? null,
    boot: event.boot ?? null,
    mac: event.mac ?? null,
    level: event.level ?? 'info',
    message: cut(event.message, TEXT_MAX_BYTES),
    detail: JSON.stringify(boundDetail(event.detail ?? {}))
  }
}

/** In the order they were written. */
export async function listEvents(db: Db, filter: EventFilter): Promise<TimelineEvent[]> {
  const { machine, macs = [], boot, after, limit } = filter
  let query = db.selectFrom('events').selectAll().limit(limit)
  if (machine !== undefined || macs.length > 0) {
    query = query.where(eb =>
      eb.or([
        ...(machine === undefined ? [] : [eb('machine', '=', machine)]),
        ...(macs.length === 0 ? [] : [eb.and([eb('machine', 'is', null), eb('mac', 'in', macs)])])
      ])
    )
  }
  if (boot !== undefined) query = query.where('boot', '=', boot)
  if (after !== undefined) return (await query.where('id', '>', after).orderBy('id').execute()).map(fromRow)
  return (await query.orderBy('id', 'desc').execute()).map(fromRow).reverse()
}

/** Whether this boot's timeline has an event of that type. */
export async function hasEvent(db: Db, { machine, boot, type }: Record<'machine' | 'boot' | 'type', string>) {
  const events = db.selectFrom('events').select('id').where('machine', '=', machine).where('boot', '=', boot)
  return (await events.where('type', '=', type).limit(1).executeTakeFirst()) !== undefined
}

/** Drops the oldest of what exceeds the bounds, of everybody; returns how many went. Reads a whole index: not often. */
export async function pruneEvents(
  db: Db,
  { strangers = STRANGERS_MAX, perMachine = PER_MACHINE_MAX }: { strangers?: number; perMachine?: number } = {}
): Promise<number> {
  const long = await db
    .selectFrom('events')
    .select('machine')
    .where('machine', 'is not', null)
    .groupBy('machine')
    .having(eb => eb.fn.countAll(), '>', perMachine)
    .execute()
  let dropped = await keepNewest(db, null, strangers)
  for (const { machine } of long) dropped += await keepNewest(db, machine, perMachine)
  return dropped
}

async function keepNewest(db: Db, machine: string | null, keep: number): Promise<number> {
  const own = (eb: ExpressionBuilder<Schema, 'events'>) =>
    machine === null ? eb('machine', 'is', null) : eb('machine', '=', machine)
  const newestToDrop = db.selectFrom('events').select('id').where(own).orderBy('id', 'desc').limit(1).offset(keep)
  const oldest = db.deleteFrom('events').where(own)
  const { numDeletedRows } = await oldest.where('id', '<=', newestToDrop).executeTakeFirst()
  return Number(numDeletedRows)
}

/** Details are facts, not documents: hostile texts in them are cut like the rest. */
function boundDetail(detail: NonNullable<NewEvent['detail']>): NonNullable<NewEvent['detail']> {
  const bound = Object.entries(detail).map(([key, value]) => [
    key,
    typeof value === 'string' ? cut(value, TEXT_MAX_BYTES) : value
  ])
  return Object.fromEntries(bound)
}

function fromRow({ level, detail, ...row }: Selectable<EventRow>): TimelineEvent {
  return { ...row, level: level as TimelineEvent['level'], detail: JSON.parse(detail) }
}
