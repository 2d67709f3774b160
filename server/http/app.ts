// What both planes have in common: bounds on everything a stranger can make grow, strict schemas, one shape of errors.

import type { Server as TlsServer, TlsOptions as TlsServerOptions } from 'node:tls'
import fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import { guardConnections } from './connections.ts'
import type { App, HttpDeps, Limits, TlsOptions } from './deps.ts'
import { problemHandler, problemOf, sendProblem } from './problem.ts'
import { SpelledResponse } from './spelling/server.ts'
import { targetOf } from './target.ts'

/** An iPXE query with five SMBIOS texts of 4 KB, each byte percent-encoded, must pass: 60 KB and a little. */
const HEADER_BYTES_MAX = 72 * 1024
/** Names, nonces and file paths; longer ones are nobody's. */
const PARAMETER_LENGTH_MAX = 1024
/** A browser sends some twenty, firmware five. */
const HEADERS_MAX = 100

const defaults: Limits = {
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  /** A download that stands still this long has lost its reader. Heartbeats keep live watches above it. */
  idleTimeoutMs: 120_000,
  checkEveryMs: 2_000,
  /** 1,000 machines at once need 2,000; ten thousand idle ones on top must keep nobody out. About 10 KB each. */
  connectionsMax: 16_000,
  connectionsPerAddressMax: 2_000
}

export interface AppOptions {
  readonly bodyBytesMax: number
  readonly tls: TlsOptions | null
  readonly limits: Partial<Limits>
}

/** An app without routes. It opens no socket. */
export function createApp({ log, metrics }: Pick<HttpDeps, 'log' | 'metrics'>, options: AppOptions): App {
  const bounds = { ...defaults, ...options.limits }
  const server = {
    ServerResponse: SpelledResponse,
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: bounds.headersTimeoutMs,
    connectionsCheckingInterval: bounds.checkEveryMs
  }
  const settings = {
    logger: false as const,
    bodyLimit: options.bodyBytesMax,
    requestTimeout: bounds.requestTimeoutMs,
    connectionTimeout: bounds.idleTimeoutMs,
    forceCloseConnections: true as const,
    trustProxy: false, // X-Forwarded-For is text like any other: the address is the connection's
    rewriteUrl: ({ url = '/' }: { url?: string | undefined }) => targetOf(url),
    routerOptions: { maxParamLength: PARAMETER_LENGTH_MAX },
    // Refuse what we do not know: the defaults drop unknown fields and coerce wrong types.
    ajv: { customOptions: { removeAdditional: false as const, coerceTypes: false as const, allErrors: true } },
    frameworkErrors: (error: Parameters<typeof problemOf>[0], _: FastifyRequest, reply: FastifyReply) => {
      void sendProblem(reply, problemOf(error)) // send() cannot fail: the reply is written when the turn ends
    }
  }
  const app = (options.tls === null
    ? fastify({ ...settings, http: server })
    : fastify({
        ...settings,
        https: { ...server, ...tlsSettings(options.tls), handshakeTimeout: bounds.headersTimeoutMs }
      })) as unknown as App
  app.server.maxConnections = bounds.connectionsMax
  // Answering (400, 408, 431) and closing is fastify's.
  guardConnections(app.server, bounds, metrics.counts.malformedHttp)
  app.addHook('onRequest', refuseManyHeaders)
  app.setErrorHandler(problemHandler(log))
  app.setNotFoundHandler(async (_request, reply) =>
    sendProblem(reply, { type: 'about:blank', title: 'not found', status: 404, detail: 'there is nothing here' })
  )
  return app
}

/**
 * What firmware offers (seen: OVMF of 2022 has TLS 1.2 without elliptic curves, some without any ephemeral key): AES in
 * all its forms, the better ones first.
 */
const FIRMWARE_CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  ...['ECDHE-RSA-', 'DHE-RSA-', ''].flatMap(exchange =>
    [
      'AES128-GCM-SHA256',
      'AES256-GCM-SHA384',
      'AES128-SHA256',
      exchange === 'ECDHE-RSA-' ? 'AES256-SHA384' : 'AES256-SHA256'
    ].map(cipher => `${exchange}${cipher}`)
  )
].join(':')

/** For connections from now on. */
export function replaceCertificate(app: App, tls: TlsOptions): void {
  ;(app.server as unknown as TlsServer).setSecureContext(tlsSettings(tls))
}

function tlsSettings({ key, cert, ca }: TlsOptions): TlsServerOptions {
  if (ca === null) return { key, cert, minVersion: 'TLSv1.2', ciphers: FIRMWARE_CIPHERS, dhparam: 'auto' }
  // A stranger's certificate is not refused here but where the route says what it needs (access.ts).
  return { key, cert, ca, minVersion: 'TLSv1.2', requestCert: true, rejectUnauthorized: false }
}

/** Node keeps 2,000 and drops the rest without a word: what is left would be another request. */
async function refuseManyHeaders(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
  if (request.raw.rawHeaders.length / 2 <= HEADERS_MAX) return undefined
  const detail = `more than ${HEADERS_MAX} header fields`
  return sendProblem(reply, { type: 'about:blank', title: 'too many headers', status: 431, detail })
}

/** The boot plane as this request reached it: what is loaded next comes the same way. */
export function bootBase({ urls }: Pick<HttpDeps, 'urls'>, request: FastifyRequest): string {
  const { localAddress } = endsOf(request)
  const secure = request.protocol === 'https' ? urls.secureBoot(localAddress) : null
  return secure ?? urls.boot(localAddress)
}

/** The two ends of the connection a request came by. */
export function endsOf(request: FastifyRequest): { address: string; localAddress: string } {
  return { address: plain(request.socket.remoteAddress), localAddress: plain(request.socket.localAddress) }
}

/** An IPv4 client of a dual-stack socket is called by its IPv4 address. */
function plain(address: string | undefined): string {
  return (address ?? '127.0.0.1').replace(/^::ffff:/, '')
}
