// /api/v1/nodes: the cluster's nodes as the server's watch sees them, and the label that asks for a version.

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { NodeView, RelabelRequest } from '../../contract/api.ts'
import { Problem } from '../../contract/problem.ts'
import { Fault } from '../../core/fault.ts'
import type { HttpDeps } from '../deps.ts'

/** A DNS-1123 subdomain (Kubernetes object names). */
const ByName = Type.Object({ name: Type.String({ pattern: '^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$' }) })
const errors = { '4xx': Problem, '5xx': Problem }
const viewer = { access: 'viewer' } as const

export function nodeRoutes({ cluster }: HttpDeps): FastifyPluginAsyncTypebox {
  const find = (name: string): NodeView => {
    const node = cluster.nodes().find(node => node.name === name)
    if (node === undefined) throw new Fault('not_found', `no node ${name}; slipway get nodes lists them`)
    return node
  }
  return async app => {
    app.get('', { config: viewer, schema: { response: { 200: Type.Array(NodeView), ...errors } } }, async () => [
      ...cluster.nodes()
    ])
    app.get(
      '/:name',
      { config: viewer, schema: { params: ByName, response: { 200: NodeView, ...errors } } },
      async request => find(request.params.name)
    )
    app.post(
      '/:name/version',
      {
        config: { access: 'operator' },
        schema: { params: ByName, body: RelabelRequest, response: { 200: NodeView, ...errors } }
      },
      async request => {
        const node = find(request.params.name)
        await cluster.setVersion(node.name, request.body.version)
        return { ...node, asked: request.body.version }
      }
    )
  }
}
