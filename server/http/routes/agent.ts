// /agent/v1/…: what the server and an agent say to each other (contract/agent.ts). Enrolment shows the certificate of
// a boot, everything else that of a machine.

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import {
  ClusterHandover,
  Desired,
  EnrolReply,
  EnrolRequest,
  Extension,
  JoinReply,
  Report,
  SlotReply,
  SlotRequest,
  SlotReturn
} from '../../contract/agent.ts'
import { Problem } from '../../contract/problem.ts'
import { Fault } from '../../core/fault.ts'
import { acceptReport, desiredOf, joinMachine } from '../../provision/agents.ts'
import { enrolMachine, renewMachine } from '../../provision/enrol.ts'
import { askSlot, giveBackSlot } from '../../provision/slots.ts'
import { callingBoot, callingMachine } from '../access.ts'
import { endsOf } from '../app.ts'
import type { HttpDeps } from '../deps.ts'

const Nothing = Type.Object({}, { additionalProperties: false })
const errors = { '4xx': Problem, '5xx': Problem }
const ByVersion = Type.Object({ version: SlotRequest.properties.target })
const boot = { access: 'boot' } as const
const machine = { access: 'machine' } as const

export function agentRoutes(deps: HttpDeps): FastifyPluginAsyncTypebox {
  return async app => {
    app.post(
      '/enrol',
      { config: boot, schema: { body: EnrolRequest, response: { 200: EnrolReply, ...errors } } },
      async request => enrolMachine(deps, callingBoot(request), request.body.csr, endsOf(request).address)
    )
    app.post(
      '/renew',
      { config: machine, schema: { body: EnrolRequest, response: { 200: EnrolReply, ...errors } } },
      async request => renewMachine(deps, callingMachine(request), request.body.csr)
    )
    app.get('/desired', { config: machine, schema: { response: { 200: Desired, ...errors } } }, async request =>
      desiredOf(deps, callingMachine(request))
    )
    app.post(
      '/join',
      { config: machine, schema: { body: Nothing, response: { 200: JoinReply, ...errors } } },
      async request => joinMachine(deps, callingMachine(request))
    )
    app.post(
      '/report',
      { config: machine, schema: { body: Report, response: { 200: Nothing, ...errors } } },
      async request => {
        await acceptReport(deps, callingMachine(request), request.body)
        return {}
      }
    )
    app.post(
      '/cluster',
      { config: machine, schema: { body: ClusterHandover, response: { 200: Nothing, ...errors } } },
      async request => {
        await deps.cluster.handover(callingMachine(request), request.body.kubeconfig, deps.now())
        return {}
      }
    )
    app.get(
      '/extensions/:version',
      {
        config: machine,
        schema: { params: ByVersion, response: { 200: Extension, ...errors } }
      },
      async request =>
        findExtension(deps, request.params.version, callingMachine(request).hardware.arch, endsOf(request))
    )
    app.post(
      '/slot',
      { config: machine, schema: { body: SlotRequest, response: { 200: SlotReply, ...errors } } },
      async request => askSlot(deps, callingMachine(request), request.body.target)
    )
    app.delete(
      '/slot',
      { config: machine, schema: { body: SlotReturn, response: { 200: Nothing, ...errors } } },
      async request => {
        await giveBackSlot(deps, callingMachine(request), request.body.outcome)
        return {}
      }
    )
  }
}

async function findExtension(
  { artifacts, urls }: HttpDeps,
  version: string,
  arch: 'x86_64' | 'arm64' | null,
  { localAddress }: { localAddress: string }
): Promise<Extension> {
  const found = arch === null ? null : await artifacts.findExtension(version, arch)
  if (found === null) {
    throw new Fault(
      'not_found',
      `no Kubernetes ${version} for ${arch ?? 'this machine'} in the data folder (extensions/)`
    )
  }
  const { size, sha256 } = found
  const url = `${urls.boot(localAddress)}/assets/extensions/kubernetes-${version}-${arch}.raw`
  return { version, url, size, sha256 }
}
