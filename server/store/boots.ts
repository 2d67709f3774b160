// The boots: one attempt of one machine each. The nonce that opens its config is stored as a hash only.

import { type Boot, type BootState, DELIVERY_LIFETIME_MS, OFFER_LIFETIME_MS } from '../core/boots.ts'
import type { BootRow, Db } from './schema.ts'
import { inTransaction } from './transaction.ts'

/** What the store knows beyond what the core decides on. */
export interface StoredBoot extends Boot {
  readonly kind: 'ignition' | 'kickstart'
  readonly profile: string
  readonly endedAt: Date | null
}

export interface NewBoot {
  readonly id: string
  readonly nonceHash: string
  readonly machine: string
  readonly address: string
  readonly kind: StoredBoot['kind']
  readonly profile: string
}

const open: readonly BootState[] = ['offered', 'delivered']

/** A page of history is enough for a person; older boots stay in the table. */
const LIST_MAX = 500

/** Offers a boot. In the same transaction every older open boot of that machine is superseded. */
export async function createBoot(db: Db, boot: NewBoot, now: Date): Promise<StoredBoot> {
  const at = now.toISOString()
  return inTransaction(db, async trx => {
    // Two boots of one machine at the same moment take turns here: its row is locked until the end.
    await trx
      .updateTable('machines')
      .set(eb => ({ updated_at: eb.ref('updated_at') }))
      .where('id', '=', boot.machine)
      .execute()
    const older = trx.updateTable('boots').set({ state: 'superseded', ended_at: at })
    await older.where('machine', '=', boot.machine).where('state', 'in', open).execute()
    const { nonceHash, ...plain } = boot
    const life = { state: 'offered', created_at: at, delivered_at: null, ended_at: null } as const
    const row = { ...plain, ...life, nonce_hash: nonceHash }
    return fromRow(await trx.insertInto('boots').values(row).returningAll().executeTakeFirstOrThrow())
  })
}

export async function findBoot(db: Db, id: string): Promise<StoredBoot | null> {
  const row = await db.selectFrom('boots').selectAll().where('id', '=', id).executeTakeFirst()
  return row === undefined ? null : fromRow(row)
}

export async function findBootByNonceHash(db: Db, hash: string): Promise<StoredBoot | null> {
  const row = await db.selectFrom('boots').selectAll().where('nonce_hash', '=', hash).executeTakeFirst()
  return row === undefined ? null : fromRow(row)
}

/** The newest boot of a machine, open or not. */
export async function latestBoot(db: Db, machine: string): Promise<StoredBoot | null> {
  const row = await newest(db).where('machine', '=', machine).limit(1).executeTakeFirst()
  return row === undefined ? null : fromRow(row)
}

/** Newest first, at most 500. */
export async function listBoots(db: Db, filter: { machine?: string | undefined } = {}): Promise<StoredBoot[]> {
  const query = newest(db).limit(LIST_MAX)
  const { machine } = filter
  const rows = await (machine === undefined ? query : query.where('machine', '=', machine)).execute()
  return rows.map(fromRow)
}

/**
 * Moves a boot only from one of the states `from`; null when it is in none of them (any more). The time of the first
 * delivery and of the end are kept.
 */
export async function moveBoot(
  db: Db,
  id: string,
  from: readonly BootState[],
  to: BootState,
  now: Date
): Promise<StoredBoot | null> {
  const at = now.toISOString()
  const row = await db
    .updateTable('boots')
    .set(eb => ({
      state: to,
      ...(to === 'delivered' ? { delivered_at: eb.fn.coalesce(eb.ref('delivered_at'), eb.val(at)) } : {}),
      ...(open.includes(to) ? {} : { ended_at: eb.fn.coalesce(eb.ref('ended_at'), eb.val(at)) })
    }))
    .where('id', '=', id)
    .where('state', 'in', from)
    .returningAll()
    .executeTakeFirst()
  return row === undefined ? null : fromRow(row)
}

/** Ends the open boots that outlived their stage (core/boots isLate), and returns them: their machines have failed. */
export async function expireBoots(db: Db, now: Date): Promise<StoredBoot[]> {
  const before = (lifetimeMs: number): string => new Date(now.getTime() - lifetimeMs).toISOString()
  const rows = await db
    .updateTable('boots')
    .set({ state: 'expired', ended_at: now.toISOString() })
    .where(eb =>
      eb.or([
        eb.and([eb('state', '=', 'offered'), eb('created_at', '<', before(OFFER_LIFETIME_MS))]),
        eb.and([eb('state', '=', 'delivered'), eb('delivered_at', '<', before(DELIVERY_LIFETIME_MS))])
      ])
    )
    .returningAll()
    .execute()
  return rows.map(fromRow)
}

/** Two boots may share a millisecond; the open one is then the newer. */
function newest(db: Db) {
  const byAge = db.selectFrom('boots').selectAll().orderBy('created_at', 'desc')
  return byAge.orderBy(eb => eb.case().when('state', '=', 'superseded').then(1).else(0).end()).orderBy('id')
}

function fromRow(row: BootRow): StoredBoot {
  return {
    id: row.id,
    machine: row.machine,
    state: row.state,
    address: row.address,
    kind: row.kind as StoredBoot['kind'],
    profile: row.profile,
    createdAt: new Date(row.created_at),
    deliveredAt: row.delivered_at === null ? null : new Date(row.delivered_at),
    endedAt: row.ended_at === null ? null : new Date(row.ended_at)
  }
}
