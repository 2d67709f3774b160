// The certificate request of a simulated kubelet (RFC 2986), in DER: P-256, subject O and CN, no attributes.

import { createPublicKey, sign } from 'node:crypto'

const ecdsaWithSha256 = oid('2a8648ce3d040302')

/** PEM. `keyPem` is an EC private key. */
export function certificateRequest(keyPem: string, subject: { organization: string; commonName: string }): string {
  const name = sequence(attribute('55040a', subject.organization), attribute('550403', subject.commonName))
  const publicKey = createPublicKey(keyPem).export({ type: 'spki', format: 'der' })
  const info = sequence(tagged(0x02, Buffer.of(0)), name, publicKey, tagged(0xa0))
  const signature = tagged(0x03, Buffer.of(0), sign('sha256', info, keyPem))
  const text = sequence(info, sequence(ecdsaWithSha256), signature).toString('base64')
  return `-----BEGIN CERTIFICATE REQUEST-----\n${text.match(/.{1,64}/g)!.join('\n')}\n-----END CERTIFICATE REQUEST-----\n`
}

function attribute(type: string, value: string): Buffer {
  return tagged(0x31, sequence(oid(type), tagged(0x0c, Buffer.from(value))))
}

function oid(hex: string): Buffer {
  return tagged(0x06, Buffer.from(hex, 'hex'))
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tagged(0x30, ...parts)
}

/** X.690 section 8.1: a tag, a length of one to three bytes, the content. */
function tagged(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.of(tag, ...size), content])
}
