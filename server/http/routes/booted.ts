// POST /b/<nonce>/booted: an installer says that it runs. provision/report.ts says who may.

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { BootedReport } from '../../contract/booted.ts'
import { reportBooted } from '../../provision/report.ts'
import { endsOf } from '../app.ts'
import type { HttpDeps } from '../deps.ts'

const params = Type.Object({ nonce: Type.String({ pattern: '^[0-9a-f]{32}$' }) })
const response = { 204: Type.Null() }

export function bootedRoutes(deps: HttpDeps): FastifyPluginAsyncTypebox {
  return async app => {
    app.post('/b/:nonce/booted', { schema: { params, body: BootedReport, response } }, async (request, reply) => {
      await reportBooted(deps, request.params.nonce, request.body, endsOf(request).address)
      return reply.code(204).send(null)
    })
  }
}
