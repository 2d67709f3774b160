// Bootstrap tokens (bootstrap.kubernetes.io/token Secrets): one for one join of one machine, good for minutes, in a
// group of our own whose requests nobody approves but us. The row in the store says what it is for; the secret half
// is only in its Secret.

import type { Role } from '../contract/document.ts'
import { TOKEN_GROUP_PREFIX } from '../contract/names.ts'
import type { KubeClient } from '../kubeapi/client.ts'
import { isKubeError } from '../kubeapi/errors.ts'
import { paths } from '../kubeapi/paths.ts'
import { createJoinToken, endJoinToken, type JoinToken, listOpenJoinTokens } from '../store/join-tokens.ts'
import type { Db } from '../store/schema.ts'

export interface TokenDeps {
  readonly kube: KubeClient
  readonly db: Db
  readonly randomBytes: (size: number) => Buffer
}

export interface TokenSubject {
  readonly machine: string
  readonly node: string
  readonly role: Role
}

const system = 'kube-system'
const lifetimeMs = 15 * 60_000

/** Mints id.secret. A token that this machine still has is ended first: there is never a second. */
export async function mintToken(
  deps: TokenDeps,
  subject: TokenSubject,
  now: Date
): Promise<{ id: string; token: string }> {
  const { kube, db, randomBytes } = deps
  for (const open of await listOpenJoinTokens(db)) if (open.machine === subject.machine) await endToken(deps, open, now)
  const id = randomText(randomBytes, 6)
  const secret = randomText(randomBytes, 16)
  const expiresAt = new Date(now.getTime() + lifetimeMs)
  // The row first: a Secret that nobody knows of would live until it expires.
  await createJoinToken(db, { id, ...subject, expiresAt }, now)
  await kube.create(paths.secrets(system), {
    type: 'bootstrap.kubernetes.io/token',
    metadata: { name: secretName(id), namespace: system, labels: { 'slipway.dev/machine': subject.machine } },
    stringData: {
      'token-id': id,
      'token-secret': secret,
      expiration: expiresAt.toISOString().replace(/\.\d+Z$/, 'Z'),
      description: `slipway: ${subject.node} joins`,
      'usage-bootstrap-authentication': 'true',
      'auth-extra-groups': `${TOKEN_GROUP_PREFIX}${subject.role}`
    }
  })
  return { id, token: `${id}.${secret}` }
}

/** Deletes the Secret, then ends the row; both may have been done before. */
export async function endToken(
  { kube, db }: Pick<TokenDeps, 'kube' | 'db'>,
  token: JoinToken,
  now: Date
): Promise<void> {
  await kube.delete(paths.secret(system, secretName(token.id))).catch((error: unknown) => {
    if (!isKubeError(error, 404)) throw error
  })
  await endJoinToken(db, token.id, now)
}

export async function endExpiredTokens(deps: Pick<TokenDeps, 'kube' | 'db'>, now: Date): Promise<void> {
  for (const token of await listOpenJoinTokens(deps.db)) if (token.expiresAt <= now) await endToken(deps, token, now)
}

function secretName(id: string): string {
  return `bootstrap-token-${id}`
}

const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789'
const unbiased = 256 - (256 % alphabet.length)

/** Each character from all 36 alike: bytes beyond the last whole multiple are drawn again. */
export function randomText(randomBytes: (size: number) => Buffer, length: number): string {
  let text = ''
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      if (byte < unbiased && text.length < length) text += alphabet[byte % alphabet.length]
    }
  }
  return text
}
