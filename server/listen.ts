// Opens the TCP socket of one HTTP application, or takes over the one that the service manager opened.

import type { AddressInfo } from 'node:net'
import { Fault } from './core/fault.ts'
import type { App } from './http/deps.ts'

export interface Place {
  readonly host: string
  readonly port: number
  /** What an operator would change, for messages. */
  readonly key: string
  /** A socket that is open already; null opens one. */
  readonly handle: number | null
}

/** The application is closed with `opened`. Throws a Fault that says what to do when the place cannot be had. */
export async function listen(app: App, opened: AsyncDisposableStack, place: Place): Promise<void> {
  const { host, port, handle } = place
  opened.defer(() => app.close())
  try {
    if (handle === null) await app.listen({ host, port })
    // Fastify hands its options on to Node's own listen(), whose fd its types leave out.
    else await app.listen({ host, fd: handle } as unknown as { host: string })
  } catch (cause) {
    throw explain(cause, place)
  }
  const address = app.server.address() as AddressInfo | null
  if (handle === null || port === 0 || address?.port === port) return
  const remedy = 'ListenStream= must say what slipway.yaml says'
  throw new Fault(
    'invalid',
    `the socket that was passed is of port ${address?.port}, not ${port} (${place.key}): ${remedy}`
  )
}

function explain(cause: unknown, { host, port, key, handle }: Place): unknown {
  const code = cause instanceof Error && 'code' in cause ? cause.code : null
  const where = `TCP port ${port} on ${host} (${key})`
  if (handle !== null && (code === 'ENOTSOCK' || code === 'EINVAL' || code === 'ERR_INVALID_FD_TYPE')) {
    return new Fault('invalid', `what was passed for ${where} is no listening TCP socket (ListenStream=)`, { cause })
  }
  if (code === 'EADDRINUSE') {
    const remedy = `stop what listens there (ss -ltnp sport = :${port} names it), or set ${key}`
    return new Fault('conflict', `${where} is taken: ${remedy}`, { cause })
  }
  if (code === 'EACCES') {
    return new Fault('forbidden', `${where} may not be opened: start as root, or set ${key}`, { cause })
  }
  return cause
}
