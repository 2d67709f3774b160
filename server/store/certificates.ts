// The certificates we issued, by serial number: what makes "revoked" true at the next request.

import { strict as assert } from 'node:assert'
import type { CertificateRow, Db } from './schema.ts'

export type CertificateKind = 'server' | 'boot' | 'machine'

export interface Certificate {
  readonly serial: string // hex, lower case
  readonly kind: CertificateKind
  readonly machine: string | null
  readonly boot: string | null
  readonly issuedAt: Date
  readonly expiresAt: Date
  readonly revokedAt: Date | null
}

export type NewCertificate = Pick<Certificate, 'serial' | 'kind' | 'machine' | 'boot' | 'expiresAt'>

/** Recorded before it is handed out: a certificate that the store does not know is refused. */
export async function recordCertificate(db: Db, certificate: NewCertificate, now: Date): Promise<void> {
  const { expiresAt, ...plain } = certificate
  const times = { issued_at: now.toISOString(), expires_at: expiresAt.toISOString(), revoked_at: null }
  await db
    .insertInto('certificates')
    .values({ ...plain, ...times })
    .execute()
}

export async function findCertificate(db: Db, serial: string): Promise<Certificate | null> {
  const row = await db.selectFrom('certificates').selectAll().where('serial', '=', serial).executeTakeFirst()
  return row === undefined ? null : fromRow(row)
}

/** Revokes what is not revoked yet of one machine or one boot, and returns how many. `except` keeps the newest one. */
export async function revokeCertificates(
  db: Db,
  which: { machine?: string; boot?: string; kind?: CertificateKind; except?: string },
  now: Date
): Promise<number> {
  const { machine, boot, kind, except } = which
  assert(machine !== undefined || boot !== undefined, 'names the machine or the boot')
  let query = db.updateTable('certificates').set({ revoked_at: now.toISOString() }).where('revoked_at', 'is', null)
  if (machine !== undefined) query = query.where('machine', '=', machine)
  if (boot !== undefined) query = query.where('boot', '=', boot)
  if (kind !== undefined) query = query.where('kind', '=', kind)
  if (except !== undefined) query = query.where('serial', '!=', except)
  return Number((await query.executeTakeFirst()).numUpdatedRows)
}

function fromRow(row: CertificateRow): Certificate {
  return {
    serial: row.serial,
    kind: row.kind as CertificateKind,
    machine: row.machine,
    boot: row.boot,
    issuedAt: new Date(row.issued_at),
    expiresAt: new Date(row.expires_at),
    revokedAt: row.revoked_at === null ? null : new Date(row.revoked_at)
  }
}
