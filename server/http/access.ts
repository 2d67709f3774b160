// Who may call what. Every route of the control plane says which access it needs; one that says nothing does not
// start. One hook looks, before anything of the request's body is read.

import type { FastifyRequest } from 'fastify'
import type { TLSSocket } from 'node:tls'
import type { AccessRole } from '../contract/api.ts'
import type { Machine } from '../contract/machine.ts'
import { Fault } from '../core/fault.ts'
import { identifyPeer, refuseMachine } from '../core/peer.ts'
import { digest } from '../provision/ids.ts'
import { findCertificate } from '../store/certificates.ts'
import { getMachine } from '../store/machines.ts'
import type { Db } from '../store/schema.ts'
import { findTokenByHash } from '../store/tokens.ts'
import type { App, HttpDeps } from './deps.ts'

/** public; a person's role or more; the certificate of a boot or of a machine. */
export type Access = 'public' | AccessRole | 'boot' | 'machine'

export type Caller =
  | { kind: 'anyone' }
  | { kind: 'person'; role: AccessRole }
  | { kind: 'boot'; boot: string }
  | { kind: 'machine'; machine: Machine }

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access
  }
  interface FastifyRequest {
    caller: Caller
  }
  interface FastifyInstance {
    /** Every route as METHOD url access: for the test that tries each with everybody. */
    accessTable?: readonly string[]
  }
}

export const SESSION_COOKIE = 'slipway-session'
const rank: Record<AccessRole, number> = { viewer: 1, operator: 2, admin: 3 }

export function addAccess(app: App, deps: HttpDeps): void {
  const table: string[] = []
  app.decorate('accessTable', table)
  app.decorateRequest('caller')
  app.addHook('onRoute', ({ method, url, config }) => {
    if (config?.access === undefined) throw new TypeError(`${String(method)} ${url} does not say who may call it`)
    table.push(`${String(method)} ${url} ${config.access}`)
  })
  app.addHook('onRequest', async request => {
    request.caller = await admit(deps, request, request.routeOptions.config?.access ?? 'public')
  })
}

async function admit(deps: HttpDeps, request: FastifyRequest, access: Access): Promise<Caller> {
  if (access === 'public') return { kind: 'anyone' }
  if (access === 'boot' || access === 'machine') return admitAgent(deps, request, access)
  const role = await roleOf(deps, request)
  if (role === null) {
    throw new Fault('unauthorized', 'log in with a one-time code, or send a token: authorization: Bearer …')
  }
  if (rank[role] < rank[access]) throw new Fault('forbidden', `this needs the role ${access}; yours is ${role}`)
  return { kind: 'person', role }
}

/** The certificate was checked when the connection began; whether it is still good is asked at every request. */
async function admitAgent({ db, now }: HttpDeps, request: FastifyRequest, access: 'boot' | 'machine'): Promise<Caller> {
  const serial = peerSerial(request)
  const peer = identifyPeer(serial === null ? null : await findCertificate(db, serial), access, now())
  if (peer.kind === 'refused') throw new Fault(peer.code, peer.reason)
  if (peer.kind === 'boot') return peer
  const machine = await getMachine(db, peer.machine)
  const refusal = refuseMachine(machine.state)
  if (refusal !== null) throw new Fault('forbidden', refusal)
  return { kind: 'machine', machine }
}

function peerSerial(request: FastifyRequest): string | null {
  const socket = request.socket as Partial<TLSSocket>
  if (socket.authorized !== true) return null
  const serial = socket.getPeerX509Certificate?.()?.serialNumber
  return serial === undefined ? null : serial.toLowerCase()
}

async function roleOf(deps: HttpDeps, request: FastifyRequest): Promise<AccessRole | null> {
  const [, token] = /^Bearer ([\x21-\x7e]{1,256})$/i.exec(request.headers.authorization ?? '') ?? []
  if (token !== undefined) return roleOfToken(deps.db, token)
  const secret = sessionOf(request)
  const role = secret === null ? null : deps.logins.findSession(secret)
  if (role !== null && request.method !== 'GET' && request.method !== 'HEAD') requireOwnOrigin(request)
  return role
}

async function roleOfToken(db: Db, token: string): Promise<AccessRole | null> {
  return (await findTokenByHash(db, digest(token)))?.role ?? null
}

/** The session's secret from the cookie header; null when there is none. */
export function sessionOf(request: FastifyRequest): string | null {
  const pairs = (request.headers.cookie ?? '').split(/; */)
  const found = pairs.find(pair => pair.startsWith(`${SESSION_COOKIE}=`))
  return found === undefined ? null : found.slice(SESSION_COOKIE.length + 1)
}

/** A browser sends the cookie by itself: a write must come from our own page (OWASP: CSRF, verifying origin). */
export function requireOwnOrigin(request: FastifyRequest): void {
  const { origin } = request.headers
  if (origin === undefined || origin !== `${request.protocol}://${request.host}`) {
    throw new Fault('forbidden', 'a write with a session must come from this server’s own page')
  }
}

/** The machine that calls. Only in routes whose access is machine. */
export function callingMachine(request: FastifyRequest): Machine {
  if (request.caller.kind !== 'machine') throw new TypeError('this route is not for machines')
  return request.caller.machine
}

/** The boot that calls. Only in routes whose access is boot. */
export function callingBoot(request: FastifyRequest): string {
  if (request.caller.kind !== 'boot') throw new TypeError('this route is not for boots')
  return request.caller.boot
}
