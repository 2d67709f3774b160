// The HTTP planes as sockets: on which addresses each listens, certificates replaced.

import type { AddressInfo } from 'node:net'
import type { Config } from './config/schema.ts'
import type { Interface } from './dhcp/context.ts'
import { replaceCertificate } from './http/app.ts'
import { buildBootApp } from './http/boot-app.ts'
import { buildControlApp } from './http/control-app.ts'
import type { App, HttpDeps } from './http/deps.ts'
import type { FirmwareIdentity } from './identity.ts'
import { listen } from './listen.ts'

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
    await listen(app, opened, { host: address, port: boot.tls!.port, key: 'boot.tls.port', handle: null })
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
  await listen(app, opened, { host, port, key: 'the page', handle: null })
  return `http://${host}:${(app.server.address() as AddressInfo).port}`
}
