// An authority's own key and certificate on disk: read, or made at the first start. Which there are, and what each of
// them issues, is authority.ts (EC, for the control plane) and firmware/authority.ts (RSA, for firmware).

import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, X509Certificate } from 'node:crypto'
import { Fault } from '../core/fault.ts'
import { authorityFiles } from './files.ts'
import { buildCertificate, selfSigner, type Signer, type Subject } from './x509.ts'

const DAY_MS = 24 * 60 * 60_000
const CA_LIFETIME_MS = 3650 * DAY_MS
/** Clocks of racked machines are set by hand, if at all: a certificate may seem to come from the future. */
export const BACKDATE_MS = DAY_MS

export interface Root {
  readonly key: KeyObject
  readonly certificate: X509Certificate
}

export interface RootPlace {
  /** NAME.key and NAME.crt in this folder. */
  readonly folder: string
  readonly name: string
  /** What stands before the part of the key's digest in its common name. */
  readonly title: string
  /** PKCS #8; called when there is neither key nor certificate. */
  readonly newKey: () => Promise<string>
}

/**
 * The key comes first; a certificate lost on the way (or later) is made again for it, with the same name. Throws Fault
 * unavailable when the files cannot be read, do not belong together or have expired: it never replaces what is there.
 */
export async function openRoot(place: RootPlace, now: Date): Promise<Root> {
  const files = authorityFiles(place.folder, place.name)
  const { folder, name } = place
  let found = await files.read()
  if (found.key === null && found.certificate === null) {
    await files.createKey(await place.newKey())
    found = await files.read()
  }
  if (found.key === null) {
    const remedy = `restore it from a backup, or move ${name}.crt away`
    throw unavailable(`${folder}/${name}.key is missing beside ${name}.crt; ${remedy}`)
  }
  const key = readKey(found.key, `${folder}/${name}.key`)
  if (found.certificate === null) {
    await files.createCertificate(selfSigned(key, place.title, now))
    found = await files.read()
  }
  return { key, certificate: readCertificate(found.certificate ?? '', key, place, now) }
}

function readKey(pem: string, file: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch (error) {
    throw unavailable(`${file} is not a private key in PEM; restore it from a backup`, error)
  }
}

function readCertificate(pem: string, key: KeyObject, { folder, name }: RootPlace, now: Date): X509Certificate {
  const file = `${folder}/${name}.crt`
  const certificate = parseCertificate(pem, file)
  if (!certificate.checkPrivateKey(key)) {
    throw unavailable(`${file} does not belong to ${name}.key; restore both from the same backup`)
  }
  if (!certificate.ca) throw unavailable(`${file} is not the certificate of an authority (CA:TRUE); give one that is`)
  if (certificate.validToDate <= now) {
    const date = certificate.validToDate.toISOString().slice(0, 10)
    throw unavailable(`${file} expired on ${date}; move ${name}.crt away to have it made again for the same key`)
  }
  return certificate
}

function parseCertificate(pem: string, file: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch (error) {
    throw unavailable(`${file} is not a certificate in PEM; restore it, or move it away`, error)
  }
}

/** The name comes from the key, so that machines which know an earlier certificate of it accept this one. */
function selfSigned(key: KeyObject, title: string, now: Date): string {
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' })
  const signer = selfSigner({ commonName: '', unit: 'authority' }, key, spki)
  const subject: Subject = { commonName: `${title} ${signer.keyId.toString('hex').slice(0, 8)}`, unit: 'authority' }
  const own: Signer = selfSigner(subject, key, spki)
  const notBefore = wholeSeconds(now.getTime() - BACKDATE_MS)
  const notAfter = wholeSeconds(now.getTime() + CA_LIFETIME_MS)
  return buildCertificate(
    { serial: newSerial(), subject, spki, notBefore, notAfter, purpose: { kind: 'authority' } },
    own
  )
}

/** RFC 5280 §4.1.2.2: positive and unguessable. The first byte is 0x40 to 0x7f, so that hex has one spelling. */
export function newSerial(): Buffer {
  const serial = randomBytes(16)
  serial[0] = (serial[0]! & 0x3f) | 0x40
  return serial
}

export function wholeSeconds(ms: number): Date {
  return new Date(Math.floor(ms / 1000) * 1000)
}

function unavailable(message: string, cause?: unknown): Fault {
  return new Fault('unavailable', message, cause === undefined ? {} : { cause })
}
