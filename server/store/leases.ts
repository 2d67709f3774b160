// The DHCP leases: one address a machine, held until it expires. Written before the ACK leaves.

import { sql } from 'kysely'
import type { Lease } from '../core/allocation.ts'
import { Fault } from '../core/fault.ts'
import type { Db, LeaseRow } from './schema.ts'
import { powersOfTwo, sizedQueries } from './sized.ts'
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

/** A literal, not a parameter: else the index of what is bound is not used, and the whole table is read. */
const isBound = sql<boolean>`state = 'bound'`

/** What documents knew these hardware addresses by, when they took their addresses. */
export async function listLeaseIdentifiers(db: Db, macs: readonly string[]): Promise<string[]> {
  if (macs.length === 0) return []
  const query = db.selectFrom('leases').select('identifier').where('mac', 'in', macs).where(isBound)
  return (await query.execute()).flatMap(({ identifier }) => identifier ?? [])
}

/**
 * Grants, renews, ends (expiresAt in the past) or declines. A machine that gets another address gives up the one it
 * had. Throws a Fault(conflict) when somebody else holds the address at that time: with one server that is a bug
 * of the allocation, with several the loser of a race, who then stays silent and is asked again.
 */
export async function saveLease(db: Db, lease: Lease): Promise<void> {
  await inTransaction(db, trx => saveGroup(trx, [lease]))
}

/**
 * The same for many with one commit, in their order. One entry a lease: null, or the conflict that befell it alone.
 * Rejects when the store failed; then none is saved.
 */
export async function saveLeases(db: Db, leases: readonly Lease[]): Promise<readonly (Fault | null)[]> {
  try {
    await inTransaction(db, async trx => {
      for (const group of groupsOf(leases)) await saveGroup(trx, group)
    })
    return leases.map(() => null)
  } catch (error) {
    if (!isConflict(error)) throw error
    if (leases.length === 1) return [error]
  }
  const results: (Fault | null)[] = []
  for (const lease of leases) results.push(...(await saveLeases(db, [lease])))
  return results
}

/** Moves the times of all leases: the clock was set by so many milliseconds. */
export async function shiftLeases(db: Db, ms: number): Promise<void> {
  await inTransaction(db, async trx => {
    for (const { address, grantedAt, expiresAt } of await listLeases(trx)) {
      const [granted, expires] = [grantedAt, expiresAt].map(at => new Date(at.getTime() + ms).toISOString())
      const update = trx.updateTable('leases').set({ granted_at: granted!, expires_at: expires! })
      await update.where('address', '=', address).execute()
    }
  })
}

/** Of different machines and addresses: one statement may not touch a row twice. */
async function saveGroup(trx: Db, leases: readonly Lease[]): Promise<void> {
  const rows = leases.map(toRow)
  const { former, grant } = queriesFor(trx, rows.length)
  // What a machine has declined is not its own: it takes nothing from it.
  const owners = rows.map(({ mac, state }) => (state === 'bound' ? mac : ''))
  await trx.executeQuery({ ...former, parameters: owners })
  const parameters = rows.flatMap(row => columns.map(name => row[name]))
  const { numAffectedRows } = await trx.executeQuery({ ...grant, parameters })
  if (numAffectedRows === BigInt(rows.length)) return
  throw new Fault('conflict', `${rows.map(({ address }) => address).join(', ')} is leased to another machine`)
}

/** In the order in which a query takes its parameters. */
const columns = ['address', 'mac', 'hostname', 'granted_at', 'expires_at', 'state', 'identifier'] as const

const queriesFor = sizedQueries((db, size) => {
  const row = Object.fromEntries(columns.map(name => [name, ''])) as unknown as LeaseRow
  const rows = Array.from({ length: size }, () => row)
  const former = db.deleteFrom('leases').where(isBound)
  const grant = db
    .insertInto('leases')
    .values(rows)
    .onConflict(clash =>
      clash
        .column('address')
        .doUpdateSet(eb => ({
          mac: eb.ref('excluded.mac'),
          hostname: eb.ref('excluded.hostname'),
          granted_at: eb.ref('excluded.granted_at'),
          expires_at: eb.ref('excluded.expires_at'),
          state: eb.ref('excluded.state'),
          identifier: eb.ref('excluded.identifier')
        }))
        .where(eb =>
          eb.or([
            eb('leases.mac', '=', eb.ref('excluded.mac')),
            eb('leases.expires_at', '<=', eb.ref('excluded.granted_at'))
          ])
        )
    )
  const macs = rows.map(({ mac }) => mac)
  return { former: former.where('mac', 'in', macs).compile(), grant: grant.compile() }
})

/** Runs of different machines and addresses, each a power of two long: so there are few query texts to compile. */
function groupsOf(leases: readonly Lease[]): Lease[][] {
  const groups: Lease[][] = []
  let run: Lease[] = []
  let seen = new Set<string>()
  for (const lease of leases) {
    if (seen.has(lease.mac) || seen.has(lease.address)) {
      groups.push(...powersOfTwo(run))
      run = []
      seen = new Set()
    }
    run.push(lease)
    seen.add(lease.mac).add(lease.address)
  }
  return [...groups, ...powersOfTwo(run)]
}

function isConflict(error: unknown): error is Fault {
  return error instanceof Fault && error.code === 'conflict'
}

const [textOfGrant, textOfExpiry] = [lastText(), lastText()]

/** Leases of one moment have the same times: the text is made once. */
function lastText(): (time: Date) => string {
  let last = { ms: Number.NaN, text: '' }
  return time => {
    const ms = time.getTime()
    if (ms !== last.ms) last = { ms, text: time.toISOString() }
    return last.text
  }
}

function toRow(lease: Lease): LeaseRow {
  return {
    address: lease.address,
    mac: lease.mac,
    hostname: lease.hostname,
    granted_at: textOfGrant(lease.grantedAt),
    expires_at: textOfExpiry(lease.expiresAt),
    state: lease.state,
    identifier: lease.identifier ?? null
  }
}

function fromRow(row: LeaseRow): Lease {
  return {
    address: row.address,
    mac: row.mac,
    hostname: row.hostname,
    grantedAt: new Date(row.granted_at),
    expiresAt: new Date(row.expires_at),
    state: row.state as Lease['state'],
    ...(row.identifier === null ? {} : { identifier: row.identifier })
  }
}
