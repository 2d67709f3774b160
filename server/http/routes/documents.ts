// /api/v1/{profiles,rules,clusters} and the Machine documents: what an operator writes. Checked together with all that
// is there, and written together or not at all (provision/documents.ts).

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { ClusterDocument, type Kind, MachineDocument, ProfileDocument, RuleDocument } from '../../contract/document.ts'
import { Problem } from '../../contract/problem.ts'
import { Fault } from '../../core/fault.ts'
import { applyDocuments, removeDocument } from '../../provision/documents.ts'
import { findDocument, listDocuments } from '../../store/documents.ts'
import type { HttpDeps } from '../deps.ts'

const ByName = Type.Object({ name: Type.String({ maxLength: 63 }) })
const Applied = Type.Array(
  Type.Object({ kind: Type.String(), name: Type.String(), result: Type.Enum(['created', 'changed', 'unchanged']) })
)
const Removed = Type.Object({ kind: Type.String(), name: Type.String() })
/** The documents of one apply. */
const DOCUMENTS_MAX = 1_000
const errors = { '4xx': Problem, '5xx': Problem }
const viewer = { access: 'viewer' } as const
const admin = { access: 'admin' } as const

const kinds = [
  { kind: 'Profile', path: 'profiles', schema: ProfileDocument },
  { kind: 'Rule', path: 'rules', schema: RuleDocument },
  { kind: 'Cluster', path: 'clusters', schema: ClusterDocument },
  { kind: 'Machine', path: 'facts', schema: MachineDocument }
] as const

/** Checked by core/documents, which names every problem with the document it is in. */
const Unchecked = Type.Unsafe<unknown>({ type: 'object' })

export function documentRoutes(deps: HttpDeps): FastifyPluginAsyncTypebox {
  return async app => {
    app.post(
      '/apply',
      {
        config: admin,
        schema: {
          body: Type.Array(Unchecked, { minItems: 1, maxItems: DOCUMENTS_MAX }),
          response: { 200: Applied, ...errors }
        }
      },
      async request => applyDocuments(deps, request.body)
    )
    for (const { kind, path, schema } of kinds) {
      app.get(
        `/${path}`,
        { config: viewer, schema: { response: { 200: Type.Array(schema), ...errors } } },
        async () => (await listDocuments(deps.db, kind)) as never
      )
      app.get(
        `/${path}/:name`,
        { config: viewer, schema: { params: ByName, response: { 200: schema, ...errors } } },
        async request => (await existing(deps, kind, request.params.name)) as never
      )
      app.put(
        `/${path}/:name`,
        { config: admin, schema: { params: ByName, body: Unchecked, response: { 200: schema, ...errors } } },
        async request => {
          requireName(request.body, kind, request.params.name)
          await applyDocuments(deps, [request.body])
          return await existing(deps, kind, request.params.name)
        }
      )
      app.delete(
        `/${path}/:name`,
        { config: admin, schema: { params: ByName, response: { 200: Removed, ...errors } } },
        async request => {
          await removeDocument(deps, kind, request.params.name)
          return { kind, name: request.params.name }
        }
      )
    }
  }
}

async function existing({ db }: HttpDeps, kind: Kind, name: string) {
  const document = await findDocument(db, kind, name)
  if (document === null) throw new Fault('not_found', `no ${kind} ${name}`)
  return document
}

function requireName(body: unknown, kind: Kind, name: string): void {
  const { kind: given, metadata } = body as { kind?: unknown; metadata?: { name?: unknown } }
  if (given !== kind || metadata?.name !== name) {
    throw new Fault('invalid', `the document must be the ${kind} ${name} that the URL names`)
  }
}
