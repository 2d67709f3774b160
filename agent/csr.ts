// A certificate signing request (RFC 2986) for a P-256 key, in DER. Only what the server reads is in it: the public key
// and the proof that we hold the private one. The server chooses the subject, so ours is a word for people.
//
//   CertificationRequest ::= SEQUENCE { info, SEQUENCE { ecdsa-with-SHA256 }, BIT STRING signature }
//   info ::= SEQUENCE { INTEGER 0, Name, SubjectPublicKeyInfo, [0] attributes (none) }

import { createPublicKey, sign } from 'node:crypto'

const tag = { integer: 0x02, bitString: 0x03, oid: 0x06, utf8: 0x0c, sequence: 0x30, set: 0x31, attributes: 0xa0 }

// RFC 5758 section 3.2, RFC 5280 appendix A.1
const ecdsaWithSha256 = Buffer.from('2a8648ce3d040302', 'hex')
const commonName = Buffer.from('550403', 'hex')

/** PEM of the request. `keyPem` is an EC private key. */
export function createCsr(keyPem: string, name: string): string {
  const publicKey = createPublicKey(keyPem).export({ type: 'spki', format: 'der' })
  const attribute = der(tag.sequence, der(tag.oid, commonName), der(tag.utf8, Buffer.from(name)))
  const info = der(
    tag.sequence,
    der(tag.integer, Buffer.from([0])),
    der(tag.sequence, der(tag.set, attribute)),
    publicKey,
    der(tag.attributes)
  )
  const request = der(
    tag.sequence,
    info,
    der(tag.sequence, der(tag.oid, ecdsaWithSha256)),
    der(tag.bitString, Buffer.from([0]), sign('sha256', info, keyPem))
  )
  const lines = request.toString('base64').match(/.{1,64}/g)!
  return `-----BEGIN CERTIFICATE REQUEST-----\n${lines.join('\n')}\n-----END CERTIFICATE REQUEST-----\n`
}

function der(type: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([type]), length(content.length), content])
}

/** X.690 section 8.1.3: short form below 128, else a count of length bytes and the length. */
function length(bytes: number): Buffer {
  if (bytes < 0x80) return Buffer.from([bytes])
  if (bytes < 0x100) return Buffer.from([0x81, bytes])
  return Buffer.from([0x82, bytes >> 8, bytes & 0xff])
}
