// Certificate requests as machines make them, and as they should not: the parts can be bent one by one.

import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import * as der from '../../server/pki/der.ts'

export type KeyType = 'ec' | 'rsa' | 'ed25519'

export interface CsrOptions {
  readonly type?: KeyType
  readonly keys?: { readonly publicKey: KeyObject; readonly privateKey: KeyObject }
  readonly subject?: string
  /** Signs with this key instead of its own. */
  readonly signer?: KeyObject
  /** Object identifier of the signature algorithm to claim. */
  readonly algorithm?: string
}

const algorithms: Record<KeyType, string> = {
  ec: '1.2.840.10045.4.3.2',
  rsa: '1.2.840.113549.1.1.11',
  ed25519: '1.3.101.112'
}

export function makeCsr({ type = 'ec', keys = makeKeys(type), subject = 'x', signer, algorithm }: CsrOptions): {
  pem: string
  der: Buffer
  key: KeyObject
} {
  const spki = keys.publicKey.export({ type: 'spki', format: 'der' })
  const name = der.sequence(der.setOf(der.sequence(der.oid('2.5.4.3'), der.utf8(subject))))
  const info = der.sequence(der.integer(Buffer.of(0)), name, der.decode(spki), der.tagged(0, der.sequence()))
  const signature = sign(type === 'ed25519' ? null : 'sha256', der.encode(info), signer ?? keys.privateKey)
  const identifier = der.sequence(der.oid(algorithm ?? algorithms[type]))
  const bytes = der.encode(der.sequence(info, identifier, der.bits(signature)))
  return { pem: der.toPem('CERTIFICATE REQUEST', bytes), der: bytes, key: keys.privateKey }
}

export function makeKeys(type: KeyType): { publicKey: KeyObject; privateKey: KeyObject } {
  if (type === 'ec') return generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return type === 'rsa' ? generateKeyPairSync('rsa', { modulusLength: 2048 }) : generateKeyPairSync('ed25519')
}
