// Sessions of the page: a one-time code, printed where the server runs, becomes a session. Kept in memory, as digests:
// a restart ends them. Leaves out the cookie (routes/session.ts).

import type { AccessRole } from '../contract/api.ts'
import { digest, newSecret } from '../provision/ids.ts'

/** A code is typed or clicked soon after it was printed. */
export const CODE_LIFETIME_MS = 60 * 60_000
/** A day's work. */
export const SESSION_LIFETIME_MS = 12 * 60 * 60_000
/** Codes and sessions each; the oldest goes. */
const KEPT_MAX = 1_000

export interface Logins {
  /** A code that opens one session. */
  readonly issueCode: (role: AccessRole) => string
  /** The session's secret; null when the code is not (any more) good. */
  readonly redeem: (code: string) => { secret: string; role: AccessRole } | null
  /** A session for somebody who is known by other means; null for nobody. */
  readonly open: (role: AccessRole | null) => { secret: string; role: AccessRole } | null
  readonly findSession: (secret: string) => AccessRole | null
  readonly end: (secret: string) => void
}

interface Entry {
  readonly role: AccessRole
  readonly until: number
}

export function createLogins(randomBytes: (size: number) => Buffer, now: () => Date): Logins {
  const codes = new Map<string, Entry>()
  const sessions = new Map<string, Entry>()
  const keep = (kept: Map<string, Entry>, role: AccessRole, lifetimeMs: number): string => {
    const secret = newSecret(randomBytes)
    if (kept.size >= KEPT_MAX) kept.delete(kept.keys().next().value!)
    kept.set(digest(secret), { role, until: now().getTime() + lifetimeMs })
    return secret
  }
  const find = (kept: Map<string, Entry>, secret: string): AccessRole | null => {
    const entry = kept.get(digest(secret))
    return entry !== undefined && entry.until > now().getTime() ? entry.role : null
  }
  const open = (role: AccessRole | null) =>
    role === null ? null : { secret: keep(sessions, role, SESSION_LIFETIME_MS), role }
  return {
    issueCode: role => keep(codes, role, CODE_LIFETIME_MS),
    redeem: code => {
      const role = find(codes, code)
      codes.delete(digest(code))
      return open(role)
    },
    open,
    findSession: secret => find(sessions, secret),
    end: secret => sessions.delete(digest(secret))
  }
}
