// The DHCP leases: one address a machine, held until it expires. Written before the ACK leaves.

import type { Lease } from '../core/allocation.ts'
import { Fault } from '../core/fault.ts'
import type { Db, LeaseRow } from './schema.ts'
import { inTransaction } from './transaction.ts'

export async function listLeases(db: Db): Promise<Lease[]> {
  const rows = await db.selectFrom('leases').selectAll().orderBy('address').execute()
  return rows.map(fromRow)
}

/** The MAC that holds an address; null when nobody does. */
export async function findLeaseHolder(db: Db, address: string): Promise<string | null> {
  const row = await db.selectFrom('leases').select('mac').where('address', '=', address).executeTakeFirst()
  return row?.mac ?? null
}

/**
 * Grants, renews, ends (expiresAt in the past) or declines. A machine that gets another address gives up the one it
 * had. Throws a Fault(conflict) when somebody else holds the address at that time: with one server that is a bug
 * of the allocation, with several the loser of a race, who then stays silent and is asked again.
 */
export async function saveLease(db: Db, lease: Lease): Promise<void> {
  const row: LeaseRow = {
    address: lease.address,
    mac: lease.mac,
    hostname: lease.hostname,
    granted_at: lease.grantedAt.toISOString(),
    expires_at: lease.expiresAt.toISOString(),
    state: lease.state
  }
  await inTransaction(db, async trx => {
    const former = trx.deleteFrom('leases').where('mac', '=', row.mac).where('address', '!=', row.address)
    await former.where('state', '=', 'bound').execute()
    const { address, ...changes } = row
    const { numInsertedOrUpdatedRows } = await trx
      .insertInto('leases')
      .values(row)
      .onConflict(clash =>
        clash
          .column('address')
          .doUpdateSet(changes)
          .where(eb => eb.or([eb('leases.mac', '=', row.mac), eb('leases.expires_at', '<=', row.granted_at)]))
      )
      .executeTakeFirst()
    if (numInsertedOrUpdatedRows !== 1n) throw new Fault('conflict', `${address} is leased to another machine`)
  })
}

function fromRow(row: LeaseRow): Lease {
  return {
    address: row.address,
    mac: row.mac,
    hostname: row.hostname,
    grantedAt: new Date(row.granted_at),
    expiresAt: new Date(row.expires_at),
    state: row.state as Lease['state']
  }
}
