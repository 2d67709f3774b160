// EFI_SIGNATURE_LIST of X.509 certificates (UEFI 2.10 §32.4.1): how OVMF is told, through fw_cfg, whom HTTPS boot trusts.
//
//   type GUID 16 · list size 4 · header size 4 = 0 · signature size 4 · owner GUID 16 · certificate, DER

import { X509Certificate } from 'node:crypto'

/** a5c059a1-94e4-4aa7-87b5-ab155c2bf072, EFI_CERT_X509_GUID: its first three fields are little-endian. */
const x509 = Buffer.from('a159c0a5e494a74a87b5ab155c2bf072', 'hex')

export function signatureList(certificates: readonly string[]): Buffer {
  return Buffer.concat(
    certificates.map(pem => {
      const der = new X509Certificate(pem).raw
      const sizes = Buffer.alloc(12)
      sizes.writeUInt32LE(x509.length + sizes.length + 16 + der.length, 0)
      sizes.writeUInt32LE(16 + der.length, 8)
      return Buffer.concat([x509, sizes, Buffer.alloc(16), der])
    })
  )
}
