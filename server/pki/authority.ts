// Our certificate authority: made at the first start, it vouches for the server, for one boot at a time, and for each
// machine. What it issued is recorded by the caller (store/certificates.ts) before it is handed out: who is not in the
// store is refused, so that retiring a machine works at its next request (core/peer.ts).

import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  X509Certificate
} from 'node:crypto'
import { DELIVERY_LIFETIME_MS, OFFER_LIFETIME_MS } from '../core/boots.ts'
import { Fault } from '../core/fault.ts'
import { checkCsr } from './csr.ts'
import { type AuthorityFiles, authorityFiles } from './files.ts'
import { buildCertificate, type Purpose, selfSigner, type Signer, signerOf, type Subject } from './x509.ts'

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
const CA_LIFETIME_MS = 3650 * DAY_MS
/** Browsers refuse more than 398 days, counted from notBefore. */
const SERVER_LIFETIME_MS = 396 * DAY_MS
/** The installation it is for, with as much again as the offer may wait. */
const BOOT_LIFETIME_MS = DELIVERY_LIFETIME_MS + OFFER_LIFETIME_MS
/** Renewed at half of it; revocation does not wait for its end. */
const MACHINE_LIFETIME_MS = 90 * DAY_MS
/** Clocks of racked machines are set by hand, if at all: a certificate may seem to come from the future. */
const BACKDATE_MS = DAY_MS

/**
 * Opens the authority in that folder, or makes it. Throws Fault unavailable when its files cannot be read, do not
 * belong together or have expired: it never replaces what is there.
 */
export async function openAuthority(folder: string, { now }: { now: () => Date }): Promise<Authority> {
  const { key, certificate } = await readOrCreate(authorityFiles(folder), folder, now())
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

interface Pair {
  readonly key: KeyObject
  readonly certificate: X509Certificate
}

/** The key comes first; a certificate lost on the way (or later) is made again for it, with the same name. */
async function readOrCreate(files: AuthorityFiles, folder: string, now: Date): Promise<Pair> {
  let found = await files.read()
  if (found.key === null && found.certificate === null) {
    await files.createKey(newKey().keyPem)
    found = await files.read()
  }
  if (found.key === null) {
    throw unavailable(`${folder}/ca.key is missing beside ca.crt; restore it from a backup, or move ca.crt away`)
  }
  const key = readKey(found.key, folder)
  if (found.certificate === null) {
    await files.createCertificate(selfSigned(key, now))
    found = await files.read()
  }
  return { key, certificate: readCertificate(found.certificate ?? '', key, folder, now) }
}

function readKey(pem: string, folder: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch (error) {
    throw unavailable(`${folder}/ca.key is not a private key in PEM; restore it from a backup`, error)
  }
}

function readCertificate(pem: string, key: KeyObject, folder: string, now: Date): X509Certificate {
  const certificate = parseCertificate(pem, folder)
  const file = `${folder}/ca.crt`
  if (!certificate.checkPrivateKey(key)) {
    throw unavailable(`${file} does not belong to ca.key; restore both from the same backup`)
  }
  if (!certificate.ca) throw unavailable(`${file} is not the certificate of an authority (CA:TRUE); give one that is`)
  if (certificate.validToDate <= now) {
    const date = certificate.validToDate.toISOString().slice(0, 10)
    throw unavailable(`${file} expired on ${date}; move ca.crt away to have it made again for the same key`)
  }
  return certificate
}

function parseCertificate(pem: string, folder: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch (error) {
    throw unavailable(`${folder}/ca.crt is not a certificate in PEM; restore it, or move it away`, error)
  }
}

/** The name comes from the key, so that machines which know an earlier certificate of it accept this one. */
function selfSigned(key: KeyObject, now: Date): string {
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' })
  const signer = selfSigner({ commonName: '', unit: 'authority' }, key, spki)
  const subject: Subject = { commonName: `Slipway ${signer.keyId.toString('hex').slice(0, 8)}`, unit: 'authority' }
  const own: Signer = selfSigner(subject, key, spki)
  const notBefore = wholeSeconds(now.getTime() - BACKDATE_MS)
  const notAfter = wholeSeconds(now.getTime() + CA_LIFETIME_MS)
  return buildCertificate(
    { serial: newSerial(), subject, spki, notBefore, notAfter, purpose: { kind: 'authority' } },
    own
  )
}

function newKey(): { spki: Buffer; keyPem: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return {
    spki: publicKey.export({ type: 'spki', format: 'der' }),
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' })
  }
}

/** RFC 5280 §4.1.2.2: positive and unguessable. The first byte is 0x40 to 0x7f, so that hex has one spelling. */
function newSerial(): Buffer {
  const serial = randomBytes(16)
  serial[0] = (serial[0]! & 0x3f) | 0x40
  return serial
}

function wholeSeconds(ms: number): Date {
  return new Date(Math.floor(ms / 1000) * 1000)
}

function unavailable(message: string, cause?: unknown): Fault {
  return new Fault('unavailable', message, cause === undefined ? {} : { cause })
}
