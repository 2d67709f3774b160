// /assets/… and /agent/<arch>: files for machines, with ranges, HEAD and ETag. No listing, no index, no redirect.

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { basename, dirname } from 'node:path'
import { Type } from 'typebox'
import type { HttpDeps } from '../deps.ts'

export function assetRoutes({ artifacts, downloads }: HttpDeps): FastifyPluginAsyncTypebox {
  return async app => {
    app.get('/assets/*', { schema: { params: Type.Object({ '*': Type.String() }) } }, async (request, reply) =>
      downloads.send(request, reply, () => artifacts.locate(request.params['*']))
    )
    const arch = Type.Object({ arch: Type.Enum(['x86_64', 'arm64']) })
    app.get('/agent/:arch', { schema: { params: arch } }, async (request, reply) =>
      downloads.send(request, reply, async () => {
        const agent = await artifacts.findAgent(request.params.arch)
        return agent === null ? null : { folder: dirname(agent.path), name: basename(agent.path) }
      })
    )
  }
}
