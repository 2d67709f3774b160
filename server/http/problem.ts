// Errors as RFC 9457 problem documents. A Fault is for the person who can act; a schema error names the field; the
// rest is a bug: it is logged whole here, in the one handler that does, and shows nothing.

import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import type { Problem } from '../contract/problem.ts'
import { Fault, statusOf } from '../core/fault.ts'
import type { Log } from '../log.ts'

/** Ignition and curl retry on 503 anyway; this is for those that read it. */
const RETRY_AFTER_SECONDS = 5

type ErrorHandler = (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>

export function problemHandler(log: Log): ErrorHandler {
  return async (error, request, reply) => {
    const problem = problemOf(error)
    if (problem.status >= 500 && !(error instanceof Fault)) {
      // The route's pattern, not the URL: a nonce is a secret.
      log.error('bug', {
        route: `${request.method} ${request.routeOptions.url ?? '?'}`,
        error: error.stack ?? String(error)
      })
    }
    if (problem.status === 503) reply.header('retry-after', String(RETRY_AFTER_SECONDS))
    if (problem.status === 401) reply.header('www-authenticate', 'Bearer')
    return sendProblem(reply, problem)
  }
}

/** Serialised here, not by the route's response schema: an error has one shape, whichever route it comes from. */
export async function sendProblem(reply: FastifyReply, problem: Problem): Promise<FastifyReply> {
  return reply
    .code(problem.status)
    .type('application/problem+json')
    .serializer((body: unknown) => JSON.stringify(body))
    .send(problem)
}

export function problemOf(error: FastifyError | Fault): Problem {
  if (error instanceof Fault) {
    const errors = error.problems.map(({ path, message }) => ({ path, message }))
    const problem = {
      type: 'about:blank',
      title: titleOf(error.code),
      status: statusOf[error.code],
      detail: error.message
    }
    return errors.length === 0 ? problem : { ...problem, errors }
  }
  const status = error.statusCode ?? 500
  if (error.validation !== undefined) return invalid(error, status)
  if (status >= 400 && status < 500) {
    return { type: 'about:blank', title: titleOf(error.code), status, detail: error.message }
  }
  return {
    type: 'about:blank',
    title: 'internal error',
    status: 500,
    detail: 'internal error; the server log says more'
  }
}

function invalid(error: FastifyError, status: number): Problem {
  const where = error.validationContext ?? 'body'
  const errors = (error.validation ?? []).map(({ instancePath, params, message }) => ({
    path: `${where}${instancePath.replaceAll('/', '.')}`,
    message: `${message ?? 'is wrong'}${nameOf(params)}`
  }))
  const detail = errors.map(({ path, message }) => `${path} ${message}`).join('; ')
  return { type: 'about:blank', title: 'invalid', status, detail, errors }
}

/** ajv says that a property is unknown, but not in the message which. */
function nameOf(params: Record<string, unknown>): string {
  const { additionalProperty: unknown, allowedValues: allowed } = params
  if (typeof unknown === 'string') return ` (${unknown})`
  return Array.isArray(allowed) ? ` (${allowed.join(', ')})` : ''
}

/** An error that a library made of a status alone has no code. */
function titleOf(code: string | undefined): string {
  return (code ?? 'refused')
    .replace(/^FST_ERR_/, '')
    .toLowerCase()
    .replaceAll('_', ' ')
}
