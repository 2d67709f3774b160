// /assets/… and /agent/<arch>: files for machines, with ranges, HEAD and ETag. No listing, no index, no redirect.

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { basename, dirname } from 'node:path'
import { Type } from 'typebox'
import { Fault } from '../../core/fault.ts'
import type { HttpDeps } from '../deps.ts'

export function assetRoutes({ artifacts, downloads }: HttpDeps): FastifyPluginAsyncTypebox {
  return async app => {
    app.get('/assets/*', { schema: { params: Type.Object({ '*': Type.String() }) } }, async (request, reply) => {
      const served = await artifacts.locate(request.params['*'])
      if (served === null) throw new Fault('not_found', 'no such file below assets')
      return downloads.send(request, reply, served)
    })
    const arch = Type.Object({ arch: Type.Enum(['x86_64', 'arm64']) })
    app.get('/agent/:arch', { schema: { params: arch } }, async (request, reply) => {
      const agent = await artifacts.findAgent(request.params.arch)
      if (agent === null) throw new Fault('not_found', `no agent for ${request.params.arch} in the data folder`)
      return downloads.send(request, reply, { folder: dirname(agent.path), name: basename(agent.path) })
    })
  }
}
