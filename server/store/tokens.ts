// Access tokens of people and programs. The token itself is shown once and kept as a hash.

import type { Db, TokenRow } from './schema.ts'
import { unlessTaken } from './transaction.ts'

export type TokenRole = 'viewer' | 'operator' | 'admin'

/** What may be shown of a token: never its hash. */
export interface Token {
  readonly name: string
  readonly role: TokenRole
  readonly createdAt: Date
  readonly revokedAt: Date | null
}

/** `hash`: SHA-256 of the token in hex. Throws a Fault(conflict) when the name is in use. */
export async function createToken(db: Db, name: string, role: TokenRole, hash: string, now: Date): Promise<Token> {
  const row = { name, role, hash, created_at: now.toISOString(), revoked_at: null }
  await unlessTaken(`a token ${name} exists already; choose another name`, () =>
    db.insertInto('tokens').values(row).execute()
  )
  return fromRow(row)
}

/** The token with this hash, unless revoked. */
export async function findTokenByHash(db: Db, hash: string): Promise<Token | null> {
  const query = db.selectFrom('tokens').selectAll().where('hash', '=', hash).where('revoked_at', 'is', null)
  const row = await query.executeTakeFirst()
  return row === undefined ? null : fromRow(row)
}

export async function listTokens(db: Db): Promise<Token[]> {
  return (await db.selectFrom('tokens').selectAll().orderBy('name').execute()).map(fromRow)
}

/** False when there is no such token, or it was revoked before. */
export async function revokeToken(db: Db, name: string, now: Date): Promise<boolean> {
  const update = db.updateTable('tokens').set({ revoked_at: now.toISOString() })
  const query = update.where('name', '=', name).where('revoked_at', 'is', null)
  return (await query.executeTakeFirst()).numUpdatedRows === 1n
}

function fromRow(row: TokenRow): Token {
  return {
    name: row.name,
    role: row.role as TokenRole,
    createdAt: new Date(row.created_at),
    revokedAt: row.revoked_at === null ? null : new Date(row.revoked_at)
  }
}
