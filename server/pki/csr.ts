// Certificate requests (PKCS #10, RFC 2986) from machines: hostile until proven. Only the public key is taken from
// one, and only with proof that the sender has the private half. The subject is ours to choose: theirs is not read.
//
//   CertificationRequest ::= { CertificationRequestInfo { version, subject, spki, [0] attributes },
//                              AlgorithmIdentifier, BIT STRING }

import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { Fault } from '../core/fault.ts'
import * as der from './der.ts'

/** An RSA-8192 request has 3 KB; the contract's body limit is above this. */
const CSR_MAX_CHARS = 8192
const RSA_BITS_MIN = 2048
/** Verification time grows with the square: nobody needs more. */
const RSA_BITS_MAX = 8192
/** An uncompressed P-256 point with its algorithm: the one form every verifier reads. */
const P256_SPKI_BYTES = 91

const pemForm =
  /^\s*-----BEGIN (NEW )?CERTIFICATE REQUEST-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END (NEW )?CERTIFICATE REQUEST-----\s*$/

/** The algorithms a request may be signed with: object identifier -> key type and hash. */
const signatures: Record<string, { type: 'ec' | 'rsa' | 'ed25519'; hash: string | null }> = {
  '1.2.840.10045.4.3.2': { type: 'ec', hash: 'sha256' },
  '1.2.840.10045.4.3.3': { type: 'ec', hash: 'sha384' },
  '1.2.840.10045.4.3.4': { type: 'ec', hash: 'sha512' },
  '1.2.840.113549.1.1.11': { type: 'rsa', hash: 'sha256' },
  '1.2.840.113549.1.1.12': { type: 'rsa', hash: 'sha384' },
  '1.2.840.113549.1.1.13': { type: 'rsa', hash: 'sha512' },
  '1.3.101.112': { type: 'ed25519', hash: null }
}

/** The requester's SubjectPublicKeyInfo in DER. Throws Fault invalid, whatever else comes in. */
export function checkCsr(pem: string): Buffer {
  if (pem.length > CSR_MAX_CHARS) throw refusal(`is longer than ${CSR_MAX_CHARS} characters`)
  const body = pemForm.exec(pem)?.[2]
  if (body === undefined) throw refusal('is not one PEM block CERTIFICATE REQUEST')
  const request = attempt('is not well-formed', () => parse(Buffer.from(body, 'base64')))
  const key = attempt('has no usable public key', () =>
    createPublicKey({ key: request.spki, format: 'der', type: 'spki' })
  )
  const weakness = weaknessOf(key, request.spki)
  if (weakness !== null) throw refusal(weakness)
  const algorithm = signatures[request.algorithm]
  if (algorithm === undefined || algorithm.type !== key.asymmetricKeyType) {
    throw refusal('is signed with an algorithm that is not accepted; use ECDSA P-256 with SHA-256')
  }
  const proven = attempt('has a malformed signature', () =>
    verify(algorithm.hash, request.signed, key, request.signature)
  )
  if (!proven) throw refusal('is not signed by the key it names')
  return request.spki
}

interface Request {
  readonly signed: Buffer
  readonly spki: Buffer
  readonly algorithm: string
  readonly signature: Buffer
}

/** Throws an Error on any other shape. */
function parse(bytes: Buffer): Request {
  const request = der.decode(bytes)
  // What is verified below is encoded again from what was read, so it must be what was sent.
  if (!der.encode(request).equals(bytes)) throw new Error('the encoding is not DER')
  const [info, algorithm, signature, ...more] = der.children(request)
  const [, , spki] = der.children(info)
  if (info === undefined || spki === undefined || more.length > 0) throw new Error('parts are missing or too many')
  return {
    signed: der.encode(info),
    spki: der.encode(spki),
    algorithm: der.oidOf(der.children(algorithm)[0]),
    signature: der.bitsOf(signature)
  }
}

function weaknessOf(key: KeyObject, spki: Buffer): string | null {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  switch (type) {
    case 'ec':
      return details?.namedCurve === 'prime256v1' && spki.length === P256_SPKI_BYTES
        ? null
        : 'has an EC key that is not P-256'
    case 'rsa': {
      const size = details?.modulusLength ?? 0
      return size >= RSA_BITS_MIN && size <= RSA_BITS_MAX ? null : `has an RSA key of ${size} bits; use ECDSA P-256`
    }
    case 'ed25519':
      return null
    default:
      return `has a key of type ${type ?? 'unknown'}; use ECDSA P-256`
  }
}

function attempt<T>(what: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw refusal(what, error) // forge and OpenSSL throw plain errors on hostile bytes: the answer is no
  }
}

function refusal(what: string, cause?: unknown): Fault {
  return new Fault('invalid', `the certificate request ${what}`, cause === undefined ? {} : { cause })
}
