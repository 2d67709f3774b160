// The HTTP planes as sockets: on which addresses each listens, what is said when it cannot, certificates replaced.

import type { AddressInfo } from 'node:net'
import type { Config } from './config.ts'
import { Fault } from './core/fault.ts'
import type { Interface } from './dhcp/context.ts'
import { replaceCertificate } from './http/app.ts'
import { buildBootApp } from './http/boot-app.ts'
import { buildControlApp } from './http/control-app.ts'
import type { App, HttpDeps } from './http/deps.ts'
import type { FirmwareIdentity } from './identity.ts'

/** The boot plane by HTTPS, on each interface; returns what renews its certificate. */
export async function listenSecure(
  deps: HttpDeps,
  identity: FirmwareIdentity,
  { boot }: Config,
  interfaces: readonly Interface[],
  opened: AsyncDisposableStack
): Promise<() => void> {
  let { tls } = identity
  const apps: App[] = []
  for (const { address } of interfaces) {
    const app = await buildBootApp(deps, {}, tls)
    await listen(app, opened, { host: address, port: boot.tls!.port, key: 'boot.tls.port' })
    apps.push(app)
  }
  return () => {
    const renewed = identity.renewed(tls, deps.now())
    if (renewed === null) return
    tls = renewed
    for (const app of apps) replaceCertificate(app, tls)
    deps.log.info('certificate.renewed', { plane: 'boot' })
  }
}

/** The lab's page, by plain HTTP; returns its URL. */
export async function listenPage(
  deps: HttpDeps,
  { host, port }: { host: string; port: number },
  opened: AsyncDisposableStack
): Promise<string> {
  const app = await buildControlApp(deps, null)
  await listen(app, opened, { host, port, key: 'the page' })
  return `http://${host}:${(app.server.address() as AddressInfo).port}`
}

/** Throws a Fault that says what to do when the port is taken or forbidden. Closed with `opened`. */
export async function listen(
  app: App,
  opened: AsyncDisposableStack,
  { host, port, key }: { host: string; port: number; key: string }
): Promise<void> {
  opened.defer(() => app.close())
  try {
    await app.listen({ host, port })
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : null
    const where = `TCP port ${port} on ${host} (${key})`
    if (code === 'EADDRINUSE') {
      const remedy = `stop what listens there (ss -ltnp sport = :${port} names it), or set ${key}`
      throw new Fault('conflict', `${where} is taken: ${remedy}`, { cause })
    }
    if (code === 'EACCES') {
      throw new Fault('forbidden', `${where} may not be opened: start as root, or set ${key}`, { cause })
    }
    throw cause
  }
}
