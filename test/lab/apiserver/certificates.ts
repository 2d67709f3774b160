// The simulated cluster's certificate authority: just enough X.509 (RFC 5280), encoded by hand over node:crypto, to
// give the server its certificate, the administrator theirs, and kubelets what they ask for. Not for anything but the
// lab.

import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'

export interface Subject {
  readonly commonName: string
  readonly organizations: readonly string[]
}

export interface Authority {
  readonly caPem: string
  /** A certificate for a public key (SPKI, DER). */
  certify(subject: Subject, spki: Buffer, kind: 'client' | 'server', now: Date): string
  /** Key and certificate. */
  issue(subject: Subject, kind: 'client' | 'server', now: Date): { certificatePem: string; keyPem: string }
}

const dayMs = 86_400_000
const ecdsaWithSha256 = sequence(identifier('2a8648ce3d040302'))

export function createAuthority(commonName: string, now: Date): Authority {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const name = nameOf({ commonName, organizations: [] })
  const spkiOf = (key: KeyObject) => key.export({ format: 'der', type: 'spki' })
  const basicConstraints = extension('551d13', true, sequence(tagged(0x01, Buffer.of(0xff))))
  const keyUsage = extension('551d0f', true, tagged(0x03, Buffer.of(0x01, 0x86))) // digitalSignature, keyCertSign, cRLSign
  const caPem = build(name, name, spkiOf(publicKey), [basicConstraints, keyUsage], now, 3650, privateKey)

  const certify: Authority['certify'] = (subject, spki, kind, at) => {
    const purpose = kind === 'client' ? '2b06010505070302' : '2b06010505070301'
    const extensions = [extension('551d25', false, sequence(identifier(purpose)))]
    if (kind === 'server') extensions.push(extension('551d11', false, loopbackNames()))
    return build(name, nameOf(subject), spki, extensions, at, 365, privateKey)
  }
  return {
    caPem,
    certify,
    issue(subject, kind, at) {
      const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
      const certificatePem = certify(subject, spkiOf(createPublicKey(key)), kind, at)
      return { certificatePem, keyPem: key.export({ format: 'pem', type: 'pkcs8' }) }
    }
  }
}

/** TBSCertificate (RFC 5280 §4.1), signed. */
function build(
  issuer: Buffer,
  subject: Buffer,
  spki: Buffer,
  extensions: readonly Buffer[],
  now: Date,
  days: number,
  key: KeyObject
): string {
  const serial = randomBytes(16)
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40 // positive, and never a leading zero
  const validity = sequence(time(new Date(now.getTime() - 60_000)), time(new Date(now.getTime() + days * dayMs)))
  const tbs = sequence(
    tagged(0xa0, tagged(0x02, Buffer.of(2))),
    tagged(0x02, serial),
    ecdsaWithSha256,
    issuer,
    validity,
    subject,
    spki,
    tagged(0xa3, sequence(...extensions))
  )
  const signature = sign('sha256', tbs, key)
  const der = sequence(tbs, ecdsaWithSha256, tagged(0x03, Buffer.of(0), signature))
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

function nameOf({ commonName, organizations }: Subject): Buffer {
  const attribute = (type: string, value: string) =>
    tagged(0x31, sequence(identifier(type), tagged(0x0c, Buffer.from(value))))
  return sequence(...organizations.map(value => attribute('55040a', value)), attribute('550403', commonName))
}

function loopbackNames(): Buffer {
  return sequence(tagged(0x82, Buffer.from('localhost')), tagged(0x87, Buffer.of(127, 0, 0, 1)))
}

function extension(type: string, critical: boolean, value: Buffer): Buffer {
  const flag = critical ? [tagged(0x01, Buffer.of(0xff))] : []
  return sequence(identifier(type), ...flag, tagged(0x04, value))
}

function time(date: Date): Buffer {
  return tagged(0x18, Buffer.from(`${date.toISOString().replaceAll(/[-:T]/g, '').slice(0, 14)}Z`))
}

function identifier(hex: string): Buffer {
  return tagged(0x06, Buffer.from(hex, 'hex'))
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tagged(0x30, ...parts)
}

function tagged(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  const length = body.length
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.of(tag, ...head), body])
}
