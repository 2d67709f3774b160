// The right to be out of service now. One place, so at most one machine; the primary key holds it, not the code.

import type { Db, SlotRow } from './schema.ts'
import { inTransaction } from './transaction.ts'

export interface Slot {
  readonly machine: string
  readonly target: string
  readonly grantedAt: Date
}

const ONLY_PLACE = 1

/**
 * Takes the slot, or returns the one this machine has (an agent that was killed asks again; a new target is noted,
 * the time is kept). Null while another machine has it.
 */
export async function takeSlot(db: Db, machine: string, target: string, now: Date): Promise<Slot | null> {
  const row = { place: ONLY_PLACE, machine, target, granted_at: now.toISOString() }
  return inTransaction(db, async trx => {
    // Whichever key clashes, the place's or the machine's: nothing is written and the next query says why.
    const insert = trx
      .insertInto('slots')
      .values(row)
      .onConflict(clash => clash.doNothing())
    const taken = await insert.returningAll().executeTakeFirst()
    if (taken !== undefined) return fromRow(taken)
    const own = trx.updateTable('slots').set({ target }).where('machine', '=', machine)
    const held = await own.returningAll().executeTakeFirst()
    return held === undefined ? null : fromRow(held)
  })
}

export async function findSlot(db: Db, machine: string): Promise<Slot | null> {
  const row = await db.selectFrom('slots').selectAll().where('machine', '=', machine).executeTakeFirst()
  return row === undefined ? null : fromRow(row)
}

export async function listSlots(db: Db): Promise<Slot[]> {
  return (await db.selectFrom('slots').selectAll().orderBy('place').execute()).map(fromRow)
}

/** Null when this machine had none: giving it back twice is no mistake. */
export async function returnSlot(db: Db, machine: string): Promise<Slot | null> {
  const row = await db.deleteFrom('slots').where('machine', '=', machine).returningAll().executeTakeFirst()
  return row === undefined ? null : fromRow(row)
}

function fromRow({ machine, target, granted_at: at }: SlotRow): Slot {
  return { machine, target, grantedAt: new Date(at) }
}
