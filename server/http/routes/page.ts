// /, /web/…: the page and its modules. Nothing on it may come from elsewhere, and no text may become script.

import type { FastifyPluginAsync } from 'fastify'
import type { HttpDeps } from '../deps.ts'

export function pageRoutes({ page }: HttpDeps): FastifyPluginAsync {
  const policy = [
    "default-src 'none'",
    `script-src 'self' ${page.scriptHashes.map(hash => `'sha256-${hash}'`).join(' ')}`,
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'"
  ].join('; ')
  const headers = {
    'content-security-policy': policy,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cache-control': 'no-cache'
  }
  return async app => {
    for (const [url, file] of page.files) {
      app.get(url, { config: { access: 'public' }, schema: { hide: true } }, async (request, reply) => {
        reply.headers(headers).header('etag', file.etag)
        if (request.headers['if-none-match'] === file.etag) return reply.code(304).send()
        return reply.type(file.type).send(file.text)
      })
    }
  }
}
