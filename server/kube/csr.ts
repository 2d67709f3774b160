// Reads a PKCS #10 certification request (RFC 2986) as far as deciding about it needs: who it names, whether it asks
// for anything beside, and whether its maker holds the key. The bytes come from any holder of a join token: every
// length is checked.
//
//   CertificationRequest ::= SEQUENCE { info, algorithm, signature }
//   info                 ::= SEQUENCE { version, subject, publicKey, [0] attributes }
//
// Not here: what may be approved (core/csr-approval.ts).

import { createPublicKey, verify } from 'node:crypto'
import type { CertificateRequest } from '../core/csr-approval.ts'

const pemCharactersMax = 16 * 1024

const sequence = 0x30
const set = 0x31
const oid = 0x06
const bitString = 0x03
const attributesTag = 0xa0

/** Signature algorithms by the hex of their identifier; ECDSA (RFC 5758), RSA (RFC 4055), Ed25519 (RFC 8410). */
const hashOf: Readonly<Record<string, string | null>> = {
  '2a8648ce3d040302': 'sha256',
  '2a8648ce3d040303': 'sha384',
  '2a8648ce3d040304': 'sha512',
  '2a864886f70d01010b': 'sha256',
  '2a864886f70d01010c': 'sha384',
  '2a864886f70d01010d': 'sha512',
  '2b6570': null
}

const commonName = '550403'
const organization = '55040a'
const extensionRequest = '2a864886f70d01090e'

/** Null when the text is no request, or its signature does not verify. */
export function readCertificateRequest(pem: string): CertificateRequest | null {
  if (pem.length > pemCharactersMax) return null
  const match =
    /^-----BEGIN CERTIFICATE REQUEST-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END CERTIFICATE REQUEST-----\s*$/.exec(pem)
  if (match === null) return null
  try {
    return decode(Buffer.from(match[1] ?? '', 'base64'))
  } catch (error) {
    if (error instanceof MalformedRequest) return null
    throw error
  }
}

class MalformedRequest extends Error {
  override readonly name = 'MalformedRequest'
}

function decode(bytes: Buffer): CertificateRequest {
  const [info, algorithm, signature] = children(only(bytes, sequence))
  const [, subject, publicKey, attributes] = children(expect(info, sequence))
  const spki = expect(publicKey, sequence).whole
  const proven = verifies(expect(info, sequence).whole, expect(algorithm, sequence), expect(signature, bitString), spki)
  if (!proven) throw new MalformedRequest('the signature does not verify')
  const names = children(expect(subject, sequence)).flatMap(rdn => children(expect(rdn, set)).map(readName))
  return {
    commonNames: names.filter(({ type }) => type === commonName).map(({ value }) => value),
    organizations: names.filter(({ type }) => type === organization).map(({ value }) => value),
    otherNames: names.filter(({ type }) => type !== commonName && type !== organization).length,
    extensions: attributes === undefined ? 0 : extensionsOf(expect(attributes, attributesTag)),
    publicKeyDer: spki
  }
}

function readName(pair: Der): { type: string; value: string } {
  const [type, value] = children(expect(pair, sequence))
  return { type: expect(type, oid).body.toString('hex'), value: value?.body.toString('utf8') ?? '' }
}

/** How many X.509 extensions are asked for: alternative names, key usage… */
function extensionsOf(attributes: Der): number {
  return children(attributes)
    .map(attribute => children(expect(attribute, sequence)))
    .filter(([type]) => expect(type, oid).body.toString('hex') === extensionRequest)
    .flatMap(([, values]) => children(expect(values, set)).flatMap(list => children(expect(list, sequence)))).length
}

function verifies(info: Buffer, algorithm: Der, signature: Der, spki: Buffer): boolean {
  const hash = hashOf[expect(children(algorithm)[0], oid).body.toString('hex')]
  if (hash === undefined) return false
  try {
    // The first byte of a bit string counts unused bits.
    return verify(hash, info, createPublicKey({ key: spki, format: 'der', type: 'spki' }), signature.body.subarray(1))
  } catch {
    return false // OpenSSL refuses the key: then nothing is proven
  }
}

interface Der {
  readonly tag: number
  readonly body: Buffer
  readonly whole: Buffer
}

function children({ body }: Der): Der[] {
  const items: Der[] = []
  for (let rest = body; rest.length > 0; rest = rest.subarray(items.at(-1)?.whole.length)) items.push(first(rest))
  return items
}

function only(bytes: Buffer, tag: number): Der {
  const item = first(bytes)
  if (item.whole.length !== bytes.length) throw new MalformedRequest('bytes after the end')
  return expect(item, tag)
}

function first(bytes: Buffer): Der {
  const [tag, short] = bytes
  if (tag === undefined || short === undefined) throw new MalformedRequest('cut short')
  const extra = short < 0x80 ? 0 : short - 0x80
  if (extra > 2 || bytes.length < 2 + extra || short === 0x80) throw new MalformedRequest('bad length')
  const length = extra === 0 ? short : bytes.readUIntBE(2, extra)
  const end = 2 + extra + length
  if (bytes.length < end) throw new MalformedRequest('cut short')
  return { tag, body: bytes.subarray(2 + extra, end), whole: bytes.subarray(0, end) }
}

function expect(item: Der | undefined, tag: number): Der {
  if (item?.tag !== tag) throw new MalformedRequest(`want tag ${tag}, got ${item?.tag}`)
  return item
}
