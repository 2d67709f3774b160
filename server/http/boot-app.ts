// The boot plane: plain HTTP for firmware, iPXE and installers. It holds nothing worth stealing except the configs of
// single boots. Never answers by redirect: shim and old firmware do not follow. Reading is all one can do here.

import fastifyStatic from '@fastify/static'
import { createApp } from './app.ts'
import type { App, HttpDeps, Limits } from './deps.ts'
import { assetRoutes } from './routes/assets.ts'
import { configRoutes } from './routes/config.ts'
import { ipxeRoutes } from './routes/ipxe.ts'

/** Every route here reads; a body is nobody's. */
const BODY_BYTES_MAX = 1024

export async function buildBootApp(deps: HttpDeps, limits: Partial<Limits> = {}): Promise<App> {
  const app = createApp(deps, { bodyBytesMax: BODY_BYTES_MAX, tls: null, limits })
  await app.register(fastifyStatic, { root: '/', serve: false })
  app.get('/healthz', async (_request, reply) => reply.type('text/plain').send('ok\n'))
  await app.register(ipxeRoutes(deps))
  await app.register(configRoutes(deps))
  await app.register(assetRoutes(deps))
  return app
}
