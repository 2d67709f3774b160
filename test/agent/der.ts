// Takes the public key out of a certificate signing request, as a server does.

/** SubjectPublicKeyInfo in DER: the third element of CertificationRequestInfo (RFC 2986 section 4.1). */
export function publicKeyOf(csrPem: string): Buffer {
  const request = Buffer.from(csrPem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64')
  const info = elements(request)[0]!
  return elements(info)[2]!
}

/** The elements inside one element, each whole. */
function elements(der: Buffer): Buffer[] {
  const content = der.subarray(headerOf(der))
  const found: Buffer[] = []
  for (let at = 0; at < content.length;) {
    const rest = content.subarray(at)
    const size = headerOf(rest) + lengthOf(rest)
    found.push(rest.subarray(0, size))
    at += size
  }
  return found
}

function headerOf(der: Buffer): number {
  return der[1]! < 0x80 ? 2 : 2 + (der[1]! & 0x7f)
}

function lengthOf(der: Buffer): number {
  return der[1]! < 0x80 ? der[1]! : Number.parseInt(der.subarray(2, headerOf(der)).toString('hex'), 16)
}
