// /b/<nonce>/…: the config of one boot, for the machine that it was made for. provision/deliver.ts says who may read.

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { deliverConfig, probeConfig } from '../../provision/deliver.ts'
import { endsOf } from '../app.ts'
import type { HttpDeps } from '../deps.ts'

const params = Type.Object({ nonce: Type.String({ pattern: '^[0-9a-f]{32}$' }) })
const files = { '/b/:nonce/ignition.json': 'ignition', '/b/:nonce/kickstart.cfg': 'kickstart' } as const

export function configRoutes(deps: HttpDeps): FastifyPluginAsyncTypebox {
  return async app => {
    for (const [url, kind] of Object.entries(files)) {
      // A probe is no delivery: it issues nothing and moves nothing.
      app.head(url, { schema: { params } }, async (request, reply) => {
        await probeConfig(deps, request.params.nonce, kind, endsOf(request).address)
        return reply.header('cache-control', 'no-store').send()
      })
      app.get(url, { schema: { params } }, async (request, reply) => {
        const config = await deliverConfig(deps, request.params.nonce, kind, endsOf(request))
        return reply.type(config.contentType).header('cache-control', 'no-store').send(config.text)
      })
    }
  }
}
