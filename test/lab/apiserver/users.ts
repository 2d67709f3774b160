// Who is asking: a client certificate's CN and O, a bootstrap token's Secret, or nobody.

import type { TLSSocket } from 'node:tls'
import { isFields, text } from './fields.ts'
import type { ObjectStore } from './objects.ts'
import { Refusal } from './refusal.ts'

export interface User {
  readonly name: string
  readonly groups: readonly string[]
}

/** Throws 401 for a credential that is no good; no credential at all is the anonymous user. */
export function authenticate(
  socket: TLSSocket,
  authorization: string | undefined,
  store: ObjectStore,
  now: Date
): User {
  const bearer = /^Bearer ([a-z0-9]{6})\.([a-z0-9]{16})$/.exec(authorization ?? '')
  if (bearer !== null) return bootstrapUser(store, bearer[1] ?? '', bearer[2] ?? '', now)
  if (authorization !== undefined) throw unauthorized()
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) return { name: 'system:anonymous', groups: ['system:unauthenticated'] }
  if (!socket.authorized || new Date(certificate.validTo) < now) throw unauthorized()
  const fields = certificate.subject.split('\n').map(line => line.split('=', 2))
  const values = (type: string) => fields.filter(([key]) => key === type).map(([, value = '']) => value)
  return { name: values('CN')[0] ?? '', groups: [...values('O'), 'system:authenticated'] }
}

function bootstrapUser(store: ObjectStore, id: string, secret: string, now: Date): User {
  const found = store.find('secrets', 'kube-system', `bootstrap-token-${id}`)
  if (found === null || found['type'] !== 'bootstrap.kubernetes.io/token') throw unauthorized()
  const { data } = found
  const field = (key: string) => (isFields(data) ? Buffer.from(text(data[key]), 'base64').toString() : '')
  const good =
    found.metadata.deletionTimestamp === undefined &&
    field('token-id') === id &&
    field('token-secret') === secret &&
    field('usage-bootstrap-authentication') === 'true' &&
    (field('expiration') === '' || new Date(field('expiration')) > now)
  if (!good) throw unauthorized()
  const extra = field('auth-extra-groups')
    .split(',')
    .filter(group => group !== '')
  return { name: `system:bootstrap:${id}`, groups: ['system:bootstrappers', ...extra, 'system:authenticated'] }
}

function unauthorized(): Refusal {
  return new Refusal(401, 'Unauthorized', 'Unauthorized')
}
