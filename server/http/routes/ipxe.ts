// /boot/ipxe: without a query the static script that asks iPXE for its facts, with one the answer for that machine.

import type { FastifyPluginAsync } from 'fastify'
import { entryScript, ipxeScripts } from '../../boot/ipxe.ts'
import { answerBoot } from '../../provision/boot.ts'
import { type MachineClaim, parseClaim } from '../../provision/claim.ts'
import { bootBase, endsOf } from '../app.ts'
import type { HttpDeps } from '../deps.ts'

export function ipxeRoutes(deps: HttpDeps): FastifyPluginAsync {
  return async app => {
    // A probe must not discover a machine or hand out an installation.
    app.head('/boot/ipxe', async (_request, reply) => reply.type('text/plain').send())
    app.get('/boot/ipxe', async (request, reply) => {
      const ends = endsOf(request)
      // The raw text: a query parser would have an opinion about bytes that are not UTF-8.
      const [, query = ''] = splitOnce(request.raw.url ?? '', '?')
      reply.type('text/plain; charset=utf-8').header('cache-control', 'no-store')
      const base = bootBase(deps, request)
      if (query === '') return entryScript(base)
      return answerBoot(deps, readClaim(deps, query), ends, ipxeScripts(base))
    })
  }
}

/** Throws Fault invalid for a query that names no machine. */
export function readClaim(deps: HttpDeps, query: string): MachineClaim {
  try {
    return parseClaim(query)
  } catch (error) {
    deps.count.boot('invalid') // counted, then told as it is
    throw error
  }
}

export function splitOnce(text: string, mark: string): [string, string?] {
  const at = text.indexOf(mark)
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + 1)]
}
