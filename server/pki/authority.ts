// Our certificate authority: made at the first start, it vouches for the server, for one boot at a time, and for each
// machine. What it issued is recorded by the caller (store/certificates.ts) before it is handed out: who is not in the
// store is refused, so that retiring a machine works at its next request (core/peer.ts).

import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { DELIVERY_LIFETIME_MS, OFFER_LIFETIME_MS } from '../core/boots.ts'
import { checkCsr } from './csr.ts'
import { BACKDATE_MS, newSerial, openRoot, wholeSeconds } from './root.ts'
import { buildCertificate, type Purpose, signerOf, type Subject } from './x509.ts'

export interface Issued {
  /** Hex, lower case, as store/certificates.ts keeps it. */
  readonly serial: string
  readonly certificatePem: string
  readonly expiresAt: Date
}

export interface IssuedWithKey extends Issued {
  /** PKCS #8. Secret: goes to the one who is named, and nowhere else. */
  readonly keyPem: string
}

export interface ServerNames {
  readonly dns: readonly string[]
  readonly ips: readonly string[]
}

export interface Authority {
  /** What machines are given to know us by. */
  readonly caPem: string
  /** Throws Fault invalid for a name that cannot be in a certificate. */
  readonly issueServer: (names: ServerNames, now: Date) => IssuedWithKey
  /** The enrolment certificate of one boot; its common name is the boot's id. */
  readonly issueBoot: (boot: { id: string; machine: string }, now: Date) => IssuedWithKey
  /** For the key in the request, which proves that it has it; throws Fault invalid otherwise. */
  readonly issueMachine: (machineId: string, csrPem: string, now: Date) => Issued
}

const DAY_MS = 24 * 60 * 60_000
/** Browsers refuse more than 398 days, counted from notBefore. */
export const SERVER_LIFETIME_MS = 396 * DAY_MS
/** The installation it is for, with as much again as the offer may wait. */
const BOOT_LIFETIME_MS = DELIVERY_LIFETIME_MS + OFFER_LIFETIME_MS
/** Renewed at half of it; revocation does not wait for its end. */
const MACHINE_LIFETIME_MS = 90 * DAY_MS

/**
 * Opens the authority in that folder, or makes it. Throws Fault unavailable when its files cannot be read, do not
 * belong together or have expired: it never replaces what is there.
 */
export async function openAuthority(folder: string, { now }: { now: () => Date }): Promise<Authority> {
  const newKeyPem = async (): Promise<string> => newKey().keyPem
  const place = { folder, name: 'ca', title: 'Slipway', newKey: newKeyPem }
  const { key, certificate } = await openRoot(place, now())
  const signer = signerOf(certificate, key)
  const expiry = certificate.validToDate
  const issue = (subject: Subject, purpose: Purpose, spki: Buffer, lifetimeMs: number, now: Date): Issued => {
    const serial = newSerial()
    const notBefore = wholeSeconds(now.getTime() - BACKDATE_MS)
    const notAfter = wholeSeconds(Math.min(now.getTime() + lifetimeMs, expiry.getTime()))
    const certificatePem = buildCertificate({ serial, subject, spki, notBefore, notAfter, purpose }, signer)
    return { serial: serial.toString('hex'), certificatePem, expiresAt: notAfter }
  }
  const issueWithKey = (subject: Subject, purpose: Purpose, lifetimeMs: number, now: Date): IssuedWithKey => {
    const { spki, keyPem } = newKey()
    return { ...issue(subject, purpose, spki, lifetimeMs, now), keyPem }
  }
  return {
    caPem: certificate.toString(),
    issueServer: (names, now) =>
      issueWithKey(
        { commonName: 'Slipway server', unit: 'server' },
        { kind: 'server', ...names },
        SERVER_LIFETIME_MS,
        now
      ),
    issueBoot: ({ id }, now) =>
      issueWithKey({ commonName: id, unit: 'boot' }, { kind: 'client' }, BOOT_LIFETIME_MS, now),
    issueMachine: (id, csrPem, now) =>
      issue({ commonName: id, unit: 'machine' }, { kind: 'client' }, checkCsr(csrPem), MACHINE_LIFETIME_MS, now)
  }
}

/**
 * Whether a server certificate should be made anew: a name is missing in it, or less than a third of its life is left.
 * A server that runs for months asks this once a day.
 */
export function isServerDue(certificatePem: string, { dns, ips }: ServerNames, now: Date): boolean {
  const certificate = new X509Certificate(certificatePem)
  const lifeMs = certificate.validToDate.getTime() - certificate.validFromDate.getTime()
  if (certificate.validToDate.getTime() - now.getTime() < lifeMs / 3) return true
  const named = dns.every(name => certificate.checkHost(name, { subject: 'never' }) !== undefined)
  return !named || !ips.every(ip => certificate.checkIP(ip) !== undefined)
}

function newKey(): { spki: Buffer; keyPem: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return {
    spki: publicKey.export({ type: 'spki', format: 'der' }),
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' })
  }
}
