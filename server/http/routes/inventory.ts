// /api/v1/{boots,leases,events,dhcp-servers,notices}: what happened and what was noticed, for reading only.

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { BootView, LeaseView } from '../../contract/api.ts'
import { TimelineEvent } from '../../contract/event.ts'
import { DhcpServerView, Notice } from '../../contract/network.ts'
import { Problem } from '../../contract/problem.ts'
import { Fault } from '../../core/fault.ts'
import { machineByRef } from '../../provision/machines.ts'
import { type StoredBoot, findBoot, listBoots } from '../../store/boots.ts'
import { listEvents } from '../../store/events.ts'
import { listLeases } from '../../store/leases.ts'
import type { HttpDeps } from '../deps.ts'

const strict = { additionalProperties: false }
const Ref = Type.String({ maxLength: 64 })
/** A query is text: numbers are checked as text, since nothing is coerced. */
const Count = Type.String({ pattern: '^[0-9]{1,15}$' })
const EVENTS_DEFAULT = 200
const EVENTS_MAX = 1_000
const errors = { '4xx': Problem, '5xx': Problem }
const viewer = { access: 'viewer' } as const
const ByMachine = Type.Object({ machine: Type.Optional(Ref) }, strict)
const EventFilter = Type.Object(
  { machine: Type.Optional(Ref), after: Type.Optional(Count), limit: Type.Optional(Count) },
  strict
)

export function inventoryRoutes({ db, network }: HttpDeps): FastifyPluginAsyncTypebox {
  return async app => {
    app.get(
      '/boots',
      { config: viewer, schema: { querystring: ByMachine, response: { 200: Type.Array(BootView), ...errors } } },
      async request => {
        const { machine } = request.query
        const filter = machine === undefined ? {} : { machine: (await machineByRef(db, machine)).id }
        return (await listBoots(db, filter)).map(viewOf)
      }
    )
    app.get(
      '/boots/:id',
      { config: viewer, schema: { params: Type.Object({ id: Ref }), response: { 200: BootView, ...errors } } },
      async request => {
        const boot = await findBoot(db, request.params.id)
        if (boot === null) throw new Fault('not_found', `no boot ${request.params.id}`)
        return viewOf(boot)
      }
    )
    app.get('/leases', { config: viewer, schema: { response: { 200: Type.Array(LeaseView), ...errors } } }, async () =>
      (await listLeases(db)).map(lease => ({
        ...lease,
        grantedAt: lease.grantedAt.toISOString(),
        expiresAt: lease.expiresAt.toISOString(),
        identifier: lease.identifier ?? null
      }))
    )
    app.get(
      '/dhcp-servers',
      { config: viewer, schema: { response: { 200: Type.Array(DhcpServerView), ...errors } } },
      async () => network.others()
    )
    app.get('/notices', { config: viewer, schema: { response: { 200: Type.Array(Notice), ...errors } } }, async () =>
      network.notices()
    )
    app.get(
      '/events',
      { config: viewer, schema: { querystring: EventFilter, response: { 200: Type.Array(TimelineEvent), ...errors } } },
      async request => {
        const { machine, after, limit } = request.query
        const found = machine === undefined ? null : await machineByRef(db, machine)
        return listEvents(db, {
          ...(found === null ? {} : { machine: found.id, macs: found.macs }),
          ...(after === undefined ? {} : { after: Number(after) }),
          limit: Math.min(Number(limit ?? EVENTS_DEFAULT), EVENTS_MAX)
        })
      }
    )
  }
}

function viewOf({ createdAt, deliveredAt, endedAt, ...boot }: StoredBoot): BootView {
  return {
    ...boot,
    createdAt: createdAt.toISOString(),
    deliveredAt: deliveredAt?.toISOString() ?? null,
    endedAt: endedAt?.toISOString() ?? null
  }
}
