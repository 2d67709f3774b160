// The control plane: agents by mutual TLS, people and programs by token or session, the page. TLS only, but for the
// lab, whose page is plain HTTP on loopback (then no agent can show a certificate, and none is served).

import fastifySwagger from '@fastify/swagger'
import { addAccess } from './access.ts'
import { createApp } from './app.ts'
import type { App, HttpDeps, Limits, TlsOptions } from './deps.ts'
import { agentRoutes } from './routes/agent.ts'
import { documentRoutes } from './routes/documents.ts'
import { healthRoutes } from './routes/health.ts'
import { inventoryRoutes } from './routes/inventory.ts'
import { machineRoutes } from './routes/machines.ts'
import { nodeRoutes } from './routes/nodes.ts'
import { pageRoutes } from './routes/page.ts'
import { sessionRoutes } from './routes/session.ts'
import { watchRoutes } from './routes/watch.ts'

/** A hundred documents of a usual size; one handed-over kubeconfig is far below. */
const BODY_BYTES_MAX = 1024 * 1024

export async function buildControlApp(
  deps: HttpDeps,
  tls: TlsOptions | null,
  limits: Partial<Limits> = {}
): Promise<App> {
  const app = createApp(deps, { bodyBytesMax: BODY_BYTES_MAX, tls, limits })
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Slipway', version: '1', description: 'The API of a Slipway server.' }
    },
    convertConstToEnum: false
  })
  addAccess(app, deps)
  await app.register(healthRoutes(deps))
  await app.register(agentRoutes(deps), { prefix: '/agent/v1' })
  await app.register(machineRoutes(deps), { prefix: '/api/v1/machines' })
  await app.register(documentRoutes(deps), { prefix: '/api/v1' })
  await app.register(inventoryRoutes(deps), { prefix: '/api/v1' })
  await app.register(nodeRoutes(deps), { prefix: '/api/v1/nodes' })
  await app.register(sessionRoutes(deps), { prefix: '/api/v1/session' })
  await app.register(watchRoutes(deps), { prefix: '/api/v1/watch' })
  await app.register(pageRoutes(deps))
  return app
}
