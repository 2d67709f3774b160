// The boot plane: HTTP for firmware, iPXE and installers. It holds nothing worth stealing except the configs of
// single boots. Never answers by redirect: shim and old firmware do not follow. All that one can do here beside reading
// is to say that one's own installer runs.

import { Fault } from '../core/fault.ts'
import { createApp } from './app.ts'
import type { App, HttpDeps, Limits, TlsOptions } from './deps.ts'
import { assetRoutes } from './routes/assets.ts'
import { bootedRoutes } from './routes/booted.ts'
import { configRoutes } from './routes/config.ts'
import { grubRoutes } from './routes/grub.ts'
import { ipxeRoutes } from './routes/ipxe.ts'

/** The one route that takes a body takes a few words. */
const BODY_BYTES_MAX = 1024

/** Plain HTTP, or with `tls` HTTPS: both answer the same. */
export async function buildBootApp(
  deps: HttpDeps,
  limits: Partial<Limits> = {},
  tls: TlsOptions | null = null
): Promise<App> {
  const app = createApp(deps, { bodyBytesMax: BODY_BYTES_MAX, tls, limits })
  app.get('/healthz', async (_request, reply) => reply.type('text/plain').send('ok\n'))
  app.get('/boot/firmware-ca.crt', async (_request, reply) => {
    if (deps.firmwareCa === null) throw new Fault('not_found', 'boot.tls is off: there is no such authority')
    return reply.type('application/x-pem-file').send(deps.firmwareCa)
  })
  await app.register(ipxeRoutes(deps))
  await app.register(grubRoutes(deps))
  await app.register(configRoutes(deps))
  await app.register(bootedRoutes(deps))
  await app.register(assetRoutes(deps))
  return app
}
