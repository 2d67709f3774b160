// The authority that firmware trusts, when an operator has enrolled its certificate there. Apart from the other one and
// RSA, since firmware reads nothing else (OVMF of 2022, iPXE of 2025: seen), and since what it vouches for is public:
// the boot plane by HTTPS. It is no authority for machines or for the control plane.

import { generateKeyPair } from 'node:crypto'
import { promisify } from 'node:util'
import type { IssuedWithKey, ServerNames } from '../authority.ts'
import { SERVER_LIFETIME_MS } from '../authority.ts'
import { BACKDATE_MS, newSerial, openRoot, wholeSeconds } from '../root.ts'
import { buildCertificate, signerOf } from '../x509.ts'

export interface FirmwareAuthority {
  /** What is enrolled in firmware. */
  readonly caPem: string
  /** Throws Fault invalid for a name that cannot be in a certificate. */
  readonly issueServer: (names: ServerNames, now: Date) => IssuedWithKey
}

/** Ten years: firmware is enrolled once. */
const CA_BITS = 3072
/** Each handshake signs or decrypts with it, and the clients' processors are slow while they boot. */
const SERVER_BITS = 2048

/** Opens firmware.key and firmware.crt in that folder, or makes them; throws as the other authority does. */
export async function openFirmwareAuthority(folder: string, { now }: { now: () => Date }): Promise<FirmwareAuthority> {
  const newKey = async (): Promise<string> => (await newRsa(CA_BITS)).keyPem
  const place = { folder, name: 'firmware', title: 'Slipway firmware', newKey }
  const { key, certificate } = await openRoot(place, now())
  const signer = signerOf(certificate, key)
  // One for the life of this process: certificates are renewed for it.
  const { spki, keyPem } = await newRsa(SERVER_BITS)
  return {
    caPem: certificate.toString(),
    issueServer: (names, at) => {
      const serial = newSerial()
      const notBefore = wholeSeconds(at.getTime() - BACKDATE_MS)
      const notAfter = wholeSeconds(Math.min(at.getTime() + SERVER_LIFETIME_MS, certificate.validToDate.getTime()))
      const subject = { commonName: 'Slipway boot plane', unit: 'server' } as const
      const fields = { serial, subject, spki, notBefore, notAfter, purpose: { kind: 'server', ...names } } as const
      const certificatePem = buildCertificate(fields, signer)
      return { serial: serial.toString('hex'), certificatePem, expiresAt: notAfter, keyPem }
    }
  }
}

async function newRsa(modulusLength: number): Promise<{ spki: Buffer; keyPem: string }> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength })
  return {
    spki: publicKey.export({ type: 'spki', format: 'der' }),
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' })
  }
}
