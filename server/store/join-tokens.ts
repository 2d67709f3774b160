// Bootstrap tokens minted for one join each. Only the public half is kept; the secret half lives in its Secret.

import type { Role } from '../contract/document.ts'
import type { Db, JoinTokenRow } from './schema.ts'

export interface JoinToken {
  readonly id: string
  readonly machine: string
  readonly node: string
  readonly role: Role
  readonly createdAt: Date
  readonly expiresAt: Date
  /** The name of the one CSR that may be, or was, approved for it. */
  readonly csr: string | null
  /** When its Secret was deleted. */
  readonly endedAt: Date | null
}

export type NewJoinToken = Pick<JoinToken, 'id' | 'machine' | 'node' | 'role' | 'expiresAt'>

export async function createJoinToken(db: Db, token: NewJoinToken, now: Date): Promise<JoinToken> {
  const { expiresAt, ...plain } = token
  const times = { created_at: now.toISOString(), expires_at: expiresAt.toISOString(), ended_at: null }
  const insert = db.insertInto('join_tokens').values({ ...plain, ...times, csr: null })
  return fromRow(await insert.returningAll().executeTakeFirstOrThrow())
}

export async function findJoinToken(db: Db, id: string): Promise<JoinToken | null> {
  const row = await db.selectFrom('join_tokens').selectAll().where('id', '=', id).executeTakeFirst()
  return row === undefined ? null : fromRow(row)
}

/** Those whose Secret still exists, oldest first; also expired ones, whose Secret is then to be deleted. */
export async function listOpenJoinTokens(db: Db): Promise<JoinToken[]> {
  const query = db.selectFrom('join_tokens').selectAll().where('ended_at', 'is', null)
  return (await query.orderBy('created_at').orderBy('id').execute()).map(fromRow)
}

/** Binds an open token to one CSR for ever. Null when it is bound to another one, has ended, or is unknown. */
export async function bindCsr(db: Db, id: string, csr: string): Promise<JoinToken | null> {
  const row = await db
    .updateTable('join_tokens')
    .set({ csr })
    .where('id', '=', id)
    .where('ended_at', 'is', null)
    .where(eb => eb.or([eb('csr', 'is', null), eb('csr', '=', csr)]))
    .returningAll()
    .executeTakeFirst()
  return row === undefined ? null : fromRow(row)
}

/** Null when it had ended already. */
export async function endJoinToken(db: Db, id: string, now: Date): Promise<JoinToken | null> {
  const update = db.updateTable('join_tokens').set({ ended_at: now.toISOString() })
  const row = await update.where('id', '=', id).where('ended_at', 'is', null).returningAll().executeTakeFirst()
  return row === undefined ? null : fromRow(row)
}

function fromRow(row: JoinTokenRow): JoinToken {
  return {
    id: row.id,
    machine: row.machine,
    node: row.node,
    role: row.role as Role,
    createdAt: new Date(row.created_at),
    expiresAt: new Date(row.expires_at),
    csr: row.csr,
    endedAt: row.ended_at === null ? null : new Date(row.ended_at)
  }
}
