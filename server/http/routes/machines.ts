// /api/v1/machines: what an operator sees and decides. A machine is named by its id, its name or a MAC.
// Leaves out the Machine documents (fixed facts), which documents.ts takes.

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { ApproveRequest, InstallRequest, ReasonRequest } from '../../contract/api.ts'
import { Machine, MachineState } from '../../contract/machine.ts'
import { Problem } from '../../contract/problem.ts'
import { approveMachine, armMachine, machineByRef, rejectMachine, retireMachine } from '../../provision/machines.ts'
import { listMachines } from '../../store/machines.ts'
import type { HttpDeps } from '../deps.ts'

const ByRef = Type.Object({ ref: Type.String({ maxLength: 64 }) })
const Filter = Type.Object(
  { state: Type.Optional(MachineState), profile: Type.Optional(Type.String({ maxLength: 63 })) },
  { additionalProperties: false }
)
const errors = { '4xx': Problem, '5xx': Problem }
const one = { 200: Machine, ...errors }
const viewer = { access: 'viewer' } as const
const operator = { access: 'operator' } as const

export function machineRoutes(deps: HttpDeps): FastifyPluginAsyncTypebox {
  return async app => {
    app.get(
      '',
      { config: viewer, schema: { querystring: Filter, response: { 200: Type.Array(Machine), ...errors } } },
      async request => listMachines(deps.db, request.query)
    )
    app.get('/:ref', { config: viewer, schema: { params: ByRef, response: one } }, async request =>
      machineByRef(deps.db, request.params.ref)
    )
    app.post(
      '/:ref/approve',
      { config: operator, schema: { params: ByRef, body: ApproveRequest, response: one } },
      async request => approveMachine(deps, request.params.ref, request.body)
    )
    app.post(
      '/:ref/reject',
      { config: operator, schema: { params: ByRef, body: ReasonRequest, response: one } },
      async request => rejectMachine(deps, request.params.ref, request.body.reason)
    )
    app.post(
      '/:ref/install',
      { config: operator, schema: { params: ByRef, body: InstallRequest, response: one } },
      async request => armMachine(deps, request.params.ref, request.body.wipe ?? false)
    )
    app.post(
      '/:ref/retire',
      { config: operator, schema: { params: ByRef, body: ReasonRequest, response: one } },
      async request => retireMachine(deps, request.params.ref, request.body.reason)
    )
  }
}
