// /healthz: this process answers. /readyz: what it needs answers too. /metrics, /openapi.json and, for the doctor,
// /api/v1/services beside them.

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { Services } from '../../contract/api.ts'
import type { Loader } from '../../contract/document.ts'
import { neededPrograms } from '../../dhcp/firmware/programs.ts'
import { listDocuments } from '../../store/documents.ts'
import { countMachines } from '../../store/machine-counts.ts'
import { endsOf } from '../app.ts'
import type { HttpDeps } from '../deps.ts'

const Readiness = Type.Object({ ready: Type.Boolean(), cluster: Type.String() })

/** The configuration's, and those that Machine documents name. */
async function loadersOf({ db, loader }: HttpDeps): Promise<readonly Loader[]> {
  const named = (await listDocuments(db, 'Machine')).map(({ spec }) => spec.loader ?? loader)
  return [...new Set([loader, ...named])]
}

export function healthRoutes(deps: HttpDeps): FastifyPluginAsyncTypebox {
  const { db, cluster, metrics, artifacts, services, urls } = deps
  return async app => {
    const open = { access: 'public' } as const
    app.get('/healthz', { config: open, schema: { response: { 200: Type.String() } } }, async (_request, reply) =>
      reply.type('text/plain').send('ok\n')
    )
    app.get('/readyz', { config: open, schema: { response: { 200: Readiness } } }, async () => {
      await countMachines(db) // a broken store is a failure of this route
      const status = cluster.status()
      // Machines boot and enrol without a cluster: that it does not answer makes us poorer, not unready.
      return { ready: true, cluster: status === null ? 'none known yet' : status.ok ? 'ok' : status.reason }
    })
    app.get(
      '/metrics',
      { config: { access: 'viewer' }, schema: { response: { 200: Type.String() } } },
      async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text())
    )
    app.get(
      '/api/v1/services',
      { config: { access: 'viewer' }, schema: { response: { 200: Services } } },
      async request => ({
        boot: urls.boot(endsOf(request).localAddress),
        ...services,
        programs: await Promise.all(
          neededPrograms(await loadersOf(deps)).map(async ({ file: name }) => {
            const found = await artifacts.findProgram(name)
            return { name, size: found?.size ?? null, sha256: found?.sha256 ?? null }
          })
        )
      })
    )
    app.get('/openapi.json', { config: open, schema: { hide: true } }, async () => app.swagger())
  }
}
