// The connection to the server: mutual TLS on one keep-alive connection, our own authority pinned and no other
// believed, bounded bodies, a deadline on every request. Also fetches extensions, over plain HTTP when the server says
// so: their hash came over the authenticated connection. Redirects are not followed.

import { type IncomingMessage, request as httpRequest } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'

export interface Credentials {
  readonly caPem: string
  readonly certificatePem: string
  readonly keyPem: string
}

export interface Reply {
  readonly status: number
  /** Parsed JSON; null when there is none. */
  readonly body: unknown
  readonly retryAfterSeconds: number | null
}

export type Transport = (
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body: object | null,
  credentials: Credentials,
  signal: AbortSignal
) => Promise<Reply>

export interface Client {
  readonly send: Transport
  /** The content, as it arrives. */
  readonly download: (url: string, caPem: string, signal: AbortSignal) => AsyncIterable<Buffer>
  readonly close: () => void
}

const requestTimeoutMs = 30_000
const replyBytesMax = 256 * 1024
/** Between two pieces of a download: a server that stopped sending is asked again later. */
const silenceMs = 60_000

export function createClient(server: string): Client {
  let open: { credentials: Credentials; agent: Agent } | null = null

  function agentFor(credentials: Credentials): Agent {
    if (open !== null && sameCredentials(open.credentials, credentials)) return open.agent
    open?.agent.destroy()
    const { caPem: ca, certificatePem: cert, keyPem: key } = credentials
    open = { credentials, agent: new Agent({ keepAlive: true, maxSockets: 1, minVersion: 'TLSv1.3', ca, cert, key }) }
    return open.agent
  }

  return {
    send: async (method, path, body, credentials, signal) => {
      const agent = agentFor(credentials)
      const both = AbortSignal.any([signal, AbortSignal.timeout(requestTimeoutMs)])
      const reply = await exchange(new URL(path, server), method, body, agent, both)
      return readReply(reply)
    },
    download,
    close: () => open?.agent.destroy()
  }
}

function sameCredentials(a: Credentials, b: Credentials): boolean {
  return a.caPem === b.caPem && a.certificatePem === b.certificatePem && a.keyPem === b.keyPem
}

function exchange(
  url: URL,
  method: string,
  body: object | null,
  agent: Agent,
  signal: AbortSignal
): Promise<IncomingMessage> {
  const payload = body === null ? null : Buffer.from(JSON.stringify(body))
  const headers = {
    accept: 'application/json',
    'user-agent': 'slipway-agent',
    ...(payload !== null && { 'content-type': 'application/json', 'content-length': payload.length })
  }
  return new Promise((resolve, reject) => {
    const request = httpsRequest(url, { method, agent, headers, signal })
    request.on('response', resolve)
    request.on('error', reject)
    request.end(payload)
  })
}

async function readReply(reply: IncomingMessage): Promise<Reply> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of reply as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > replyBytesMax) throw new Error(`the server's reply is larger than ${replyBytesMax} bytes`)
    chunks.push(chunk)
  }
  const text = Buffer.concat(chunks).toString('utf8')
  const isJson = /^application\/([a-z]+\+)?json/.test(reply.headers['content-type'] ?? '')
  const retryAfter = reply.headers['retry-after'] ?? ''
  return {
    status: reply.statusCode ?? 0,
    body: isJson && text !== '' ? JSON.parse(text) : null,
    retryAfterSeconds: /^\d{1,5}$/.test(retryAfter) ? Number(retryAfter) : null
  }
}

async function* download(url: string, caPem: string, signal: AbortSignal): AsyncIterable<Buffer> {
  const send = url.startsWith('https:') ? httpsRequest : httpRequest
  const reply = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = send(url, { agent: false, signal, ca: caPem, timeout: silenceMs })
    request.on('timeout', () => request.destroy(new Error(`${url}: nothing came for ${silenceMs / 1000} s`)))
    request.on('response', resolve)
    request.on('error', reject)
    request.end()
  })
  if (reply.statusCode !== 200) {
    reply.destroy()
    throw new Error(`${url} answered ${reply.statusCode}`)
  }
  yield* reply as AsyncIterable<Buffer>
}
