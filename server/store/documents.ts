// The operator's documents, as they were checked when applied. Checking is core/documents; here they are kept.

import type { AnyDocument, Kind } from '../contract/document.ts'
import { API_VERSION } from '../contract/names.ts'
import type { Db, DocumentRow } from './schema.ts'
import { inTransaction } from './transaction.ts'

type DocumentOf<K extends Kind> = Extract<AnyDocument, { kind: K }>

/** Says what it did, so that applying twice is seen to change nothing. */
export async function putDocument(
  db: Db,
  { kind, metadata, spec }: AnyDocument,
  now: Date
): Promise<'created' | 'changed' | 'unchanged'> {
  const row = { kind, name: metadata.name, spec: JSON.stringify(spec), updated_at: now.toISOString() }
  return inTransaction(db, async trx => {
    const created = await trx
      .insertInto('documents')
      .values(row)
      .onConflict(clash => clash.columns(['kind', 'name']).doNothing())
      .executeTakeFirst()
    if (created.numInsertedOrUpdatedRows === 1n) return 'created'
    const changed = await trx
      .updateTable('documents')
      .set({ spec: row.spec, updated_at: row.updated_at })
      .where('kind', '=', kind)
      .where('name', '=', row.name)
      .where('spec', '!=', row.spec)
      .executeTakeFirst()
    return changed.numUpdatedRows === 1n ? 'changed' : 'unchanged'
  })
}

/** False when there was none. */
export async function deleteDocument(db: Db, kind: Kind, name: string): Promise<boolean> {
  const query = db.deleteFrom('documents').where('kind', '=', kind).where('name', '=', name)
  return (await query.executeTakeFirst()).numDeletedRows === 1n
}

export async function findDocument<K extends Kind>(db: Db, kind: K, name: string): Promise<DocumentOf<K> | null> {
  const query = db.selectFrom('documents').selectAll().where('kind', '=', kind).where('name', '=', name)
  const row = await query.executeTakeFirst()
  return row === undefined ? null : fromRow<K>(row)
}

/** By kind, then name. */
export async function listDocuments<K extends Kind>(db: Db, kind?: K): Promise<DocumentOf<K>[]> {
  const query = db.selectFrom('documents').selectAll().orderBy('kind').orderBy('name')
  const rows = await (kind === undefined ? query : query.where('kind', '=', kind)).execute()
  return rows.map(row => fromRow<K>(row))
}

function fromRow<K extends Kind>({ kind, name, spec }: DocumentRow): DocumentOf<K> {
  return { apiVersion: API_VERSION, kind, metadata: { name }, spec: JSON.parse(spec) } as DocumentOf<K>
}
