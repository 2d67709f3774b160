// /api/v1/session: a one-time code, or an access token, becomes a session cookie that no script can read and no other
// site can use.

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { LoginRequest, Session } from '../../contract/api.ts'
import { Problem } from '../../contract/problem.ts'
import { Fault } from '../../core/fault.ts'
import { digest } from '../../provision/ids.ts'
import { findTokenByHash } from '../../store/tokens.ts'
import { requireOwnOrigin, SESSION_COOKIE, sessionOf } from '../access.ts'
import type { HttpDeps } from '../deps.ts'
import { SESSION_LIFETIME_MS } from '../logins.ts'

const errors = { '4xx': Problem, '5xx': Problem }
const open = { access: 'public' } as const

export function sessionRoutes({ db, logins }: HttpDeps): FastifyPluginAsyncTypebox {
  return async app => {
    app.post(
      '',
      { config: open, schema: { body: LoginRequest, response: { 200: Session, ...errors } } },
      async (request, reply) => {
        requireOwnOrigin(request)
        const { code } = request.body
        const session = logins.redeem(code) ?? logins.open((await findTokenByHash(db, digest(code)))?.role ?? null)
        if (session === null) {
          const message =
            'this code or token is wrong, was used, or is too old; <data>/admin.token on the server is good'
          throw new Fault('unauthorized', message)
        }
        reply.header('set-cookie', cookie(request, session.secret, SESSION_LIFETIME_MS / 1000))
        return { role: session.role }
      }
    )
    app.get('', { config: { access: 'viewer' }, schema: { response: { 200: Session, ...errors } } }, async request => {
      if (request.caller.kind !== 'person') throw new TypeError('a role is a person’s')
      return { role: request.caller.role }
    })
    app.delete(
      '',
      { config: { access: 'viewer' }, schema: { response: { 200: Type.Object({}), ...errors } } },
      async (request, reply) => {
        const secret = sessionOf(request)
        if (secret !== null) logins.end(secret)
        reply.header('set-cookie', cookie(request, '', 0))
        return {}
      }
    )
  }
}

/** Secure, but for the lab's page, which is plain HTTP on loopback. */
function cookie({ protocol }: FastifyRequest, secret: string, seconds: number): string {
  const secure = protocol === 'https' ? '; Secure' : ''
  return `${SESSION_COOKIE}=${secret}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Strict${secure}`
}
