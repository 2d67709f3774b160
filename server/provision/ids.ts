// Names and secrets made by chance, and the digests by which secrets are kept. The bytes come in as a parameter.

import { createHash } from 'node:crypto'

type RandomBytes = (size: number) => Buffer

/** 32 letters and digits without those that people confuse: five bits each, so no bias. */
const ALPHABET = 'abcdefghjkmnpqrstuvwxyz023456789'

/** m-xxxxxxxx, b-xxxxxxxx: 40 random bits, for people to say aloud. Not a secret. */
export function shortId(prefix: 'm' | 'b', randomBytes: RandomBytes): string {
  return `${prefix}-${Array.from(randomBytes(8), byte => ALPHABET[byte & 31]).join('')}`
}

/** 128 random bits as 32 hex digits: a nonce, a token, a one-time code. */
export function newSecret(randomBytes: RandomBytes): string {
  return randomBytes(16).toString('hex')
}

/** How nonces, tokens and sessions are kept: whoever reads the store learns none of them. */
export function digest(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}
