// Certificates (RFC 5280) as bytes: node-forge's ASN.1 lays out what is to be signed, node:crypto signs it.
// Pure: serial numbers, keys and times come in. Who gets which certificate is authority.ts.
//
//   Certificate ::= { TBSCertificate, AlgorithmIdentifier, BIT STRING }
//   TBSCertificate ::= { [0] version, serial, AlgorithmIdentifier, issuer, validity, subject, spki, [3] extensions }

import { createHash, type KeyObject, sign, X509Certificate } from 'node:crypto'
import ipaddr from 'ipaddr.js'
import { Fault } from '../core/fault.ts'
import * as der from './der.ts'

export interface Subject {
  readonly commonName: string
  /** Tells the kinds apart for people; the store is what decides. */
  readonly unit: 'authority' | 'server' | 'boot' | 'machine'
}

export type Purpose =
  | { readonly kind: 'authority' }
  | { readonly kind: 'server'; readonly dns: readonly string[]; readonly ips: readonly string[] }
  | { readonly kind: 'client' }

export interface Fields {
  /** Big-endian, positive, first byte not zero. */
  readonly serial: Buffer
  readonly subject: Subject
  /** SubjectPublicKeyInfo in DER. */
  readonly spki: Buffer
  /** Whole seconds; milliseconds are dropped. */
  readonly notBefore: Date
  readonly notAfter: Date
  readonly purpose: Purpose
}

/** Who signs: the key, and the name and key identifier that verifiers look for. */
export interface Signer {
  readonly key: KeyObject
  readonly name: der.Der
  readonly keyId: Buffer
}

/** The certificate in PEM. Throws Fault invalid for a server name that is none. */
export function buildCertificate(fields: Fields, signer: Signer): string {
  const algorithm = algorithmOf(signer.key)
  const tbs = der.sequence(
    der.tagged(0, der.integer(Buffer.of(2))), // version 3
    der.integer(fields.serial),
    algorithm.identifier,
    signer.name,
    der.sequence(der.time(fields.notBefore), der.time(fields.notAfter)),
    nameOf(fields.subject),
    der.decode(fields.spki),
    der.tagged(3, der.sequence(...extensions(fields, signer)))
  )
  const signature = sign(algorithm.hash, der.encode(tbs), signer.key)
  return der.toPem('CERTIFICATE', der.encode(der.sequence(tbs, algorithm.identifier, der.bits(signature))))
}

/** A signer that has no certificate yet: it signs its own. */
export function selfSigner(subject: Subject, key: KeyObject, spki: Buffer): Signer {
  return { key, name: nameOf(subject), keyId: keyIdOf(spki) }
}

/** A signer as its certificate names it, byte for byte, also when another program made that. */
export function signerOf(certificate: X509Certificate, key: KeyObject): Signer {
  const [tbs] = der.children(der.decode(certificate.raw))
  const fields = der.children(tbs)
  const subject = fields[5]
  if (subject === undefined) throw new Error('a certificate of version 3 was expected')
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' })
  return { key, name: subject, keyId: findKeyId(fields.slice(7)) ?? keyIdOf(spki) }
}

const SIGNATURES = {
  // RFC 5758 §3.2: no parameters.
  ec: { hash: 'sha256', identifier: der.sequence(der.oid('1.2.840.10045.4.3.2')) },
  // RFC 4055 §5: the parameters are NULL.
  rsa: { hash: 'sha256', identifier: der.sequence(der.oid('1.2.840.113549.1.1.11'), der.nothing()) },
  // RFC 8410 §3: no parameters, and the algorithm hashes by itself.
  ed25519: { hash: null, identifier: der.sequence(der.oid('1.3.101.112')) }
} as const

function algorithmOf(key: KeyObject): (typeof SIGNATURES)[keyof typeof SIGNATURES] {
  const type = key.asymmetricKeyType
  if (type === 'ec' || type === 'rsa' || type === 'ed25519') return SIGNATURES[type]
  throw new Fault('unavailable', `the authority's key is ${type ?? 'secret'}; it must be EC, RSA or Ed25519`)
}

function nameOf({ commonName, unit }: Subject): der.Der {
  const attributes: Array<[type: string, value: string]> = [
    ['2.5.4.10', 'Slipway'], // organization
    ['2.5.4.11', unit], // organizational unit
    ['2.5.4.3', commonName]
  ]
  return der.sequence(...attributes.map(([type, value]) => der.setOf(der.sequence(der.oid(type), der.utf8(value)))))
}

// RFC 5280 §4.2.1; what `openssl verify -x509_strict` asks of each kind.

const SUBJECT_KEY_ID = '2.5.29.14'
const KEY_USAGE = '2.5.29.15'
const SUBJECT_ALT_NAME = '2.5.29.17'
const BASIC_CONSTRAINTS = '2.5.29.19'
const AUTHORITY_KEY_ID = '2.5.29.35'
const EXTENDED_KEY_USAGE = '2.5.29.37'
const RSA_ENCRYPTION = '1.2.840.113549.1.1.1'
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

function extensions({ purpose, spki }: Fields, signer: Signer): der.Der[] {
  const keyId = extension(SUBJECT_KEY_ID, der.octets(keyIdOf(spki)))
  if (purpose.kind === 'authority') {
    const noFurtherAuthority = der.integer(Buffer.of(0))
    return [
      critical(BASIC_CONSTRAINTS, der.sequence(der.yes(), noFurtherAuthority)),
      critical(KEY_USAGE, der.bits(Buffer.of(0b0000_0110), 1)), // keyCertSign, cRLSign
      keyId
    ]
  }
  return [
    critical(BASIC_CONSTRAINTS, der.sequence()),
    critical(KEY_USAGE, keyUsage(spki)),
    extension(EXTENDED_KEY_USAGE, der.sequence(der.oid(purpose.kind === 'server' ? SERVER_AUTH : CLIENT_AUTH))),
    keyId,
    extension(AUTHORITY_KEY_ID, der.sequence(der.taggedBytes(0, signer.keyId))),
    ...(purpose.kind === 'server' ? [extension(SUBJECT_ALT_NAME, altNames(purpose))] : [])
  ]
}

/** digitalSignature; with RSA keyEncipherment as well, for the key exchange that old firmware has (RFC 5246 §7.4.2). */
function keyUsage(spki: Buffer): der.Der {
  const [algorithm] = der.children(der.decode(spki))
  const rsa = der.oidOf(der.children(algorithm)[0]) === RSA_ENCRYPTION
  return rsa ? der.bits(Buffer.of(0b1010_0000), 5) : der.bits(Buffer.of(0b1000_0000), 7)
}

function extension(id: string, value: der.Der): der.Der {
  return der.sequence(der.oid(id), der.octets(der.encode(value)))
}

function critical(id: string, value: der.Der): der.Der {
  return der.sequence(der.oid(id), der.yes(), der.octets(der.encode(value)))
}

/** GeneralName: dNSName [2], iPAddress [7]. */
function altNames({ dns, ips }: Extract<Purpose, { kind: 'server' }>): der.Der {
  const names = [
    ...dns.map(name => der.taggedBytes(2, Buffer.from(dnsName(name), 'latin1'))),
    ...ips.map(ip => der.taggedBytes(7, addressBytes(ip)))
  ]
  if (names.length === 0) throw new Fault('invalid', 'a server certificate needs a name or an address')
  return der.sequence(...names)
}

/** Host names as people have them: an underscore is no DNS label, but it is in use. */
function dnsName(name: string): string {
  const labels = name.split('.')
  const sound =
    name.length <= 253 && labels.every(label => /^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/.test(label))
  if (!sound) throw new Fault('invalid', `${JSON.stringify(name)} is no name for a server certificate`)
  return name.toLowerCase()
}

function addressBytes(ip: string): Buffer {
  if (!ipaddr.isValid(ip)) throw new Fault('invalid', `${JSON.stringify(ip)} is no address for a server certificate`)
  return Buffer.from(ipaddr.parse(ip).toByteArray())
}

/** RFC 5280 §4.2.1.2 method 1: SHA-1 of the public key's bits. A name, not a proof. */
function keyIdOf(spki: Buffer): Buffer {
  const [, key] = der.children(der.decode(spki))
  return createHash('sha1').update(der.bitsOf(key)).digest()
}

function findKeyId(optional: readonly der.Der[]): Buffer | null {
  const list = optional.find(({ type }) => (type as number) === 3)
  const all = list === undefined ? [] : der.children(der.children(list)[0])
  const found = all.map(der.children).find(([id]) => der.oidOf(id) === SUBJECT_KEY_ID)
  const value = found?.at(-1)?.value
  if (typeof value !== 'string') return null
  const inner = der.decode(Buffer.from(value, 'latin1')).value
  return typeof inner === 'string' ? Buffer.from(inner, 'latin1') : null
}
