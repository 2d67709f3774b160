// The Kubernetes API over node:https: one keep-alive agent for each set of credentials, bounded bodies, a deadline on
// every request. Server and agent both use it; watch.ts adds list and watch. Not here: discovery, server-side apply,
// exec, proxies.

import type { IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { kubeErrorOf } from './errors.ts'
import { type Query, withQuery } from './paths.ts'

export interface Credentials {
  /** https://host:port */
  readonly server: string
  /** Name to verify the server's certificate against, when not the host. */
  readonly serverName: string | null
  /** Null: the system's authorities. */
  readonly caPem: string | null
  readonly certificatePem: string | null
  readonly keyPem: string | null
  readonly token: string | null
}

/** Asked before every request; gives the same object for as long as nothing changed. */
export type CredentialSource = () => Promise<Credentials>

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
export type PatchType = 'merge' | 'strategic' | 'json'

export interface RequestOptions {
  readonly query?: Query
  /** Sent as JSON. */
  readonly body?: unknown
  readonly contentType?: string
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export interface Reply<T> {
  readonly status: number
  readonly body: T
}

export interface KubeClient {
  /** Any request. JSON replies are parsed, others are text. Throws KubeError for 400 and above. */
  request<T>(method: Method, path: string, options?: RequestOptions): Promise<Reply<T>>
  get<T>(path: string, options?: RequestOptions): Promise<T>
  create<T>(path: string, body: unknown, options?: RequestOptions): Promise<T>
  replace<T>(path: string, body: unknown, options?: RequestOptions): Promise<T>
  patch<T>(path: string, body: unknown, type: PatchType, options?: RequestOptions): Promise<T>
  delete<T>(path: string, options?: RequestOptions): Promise<T>
  /** The reply as it arrives, for watches; the caller reads or destroys it. */
  stream(
    path: string,
    options: { query?: Query; headerTimeoutMs?: number; signal: AbortSignal }
  ): Promise<IncomingMessage>
  /** What the next request would use. */
  credentials(): Promise<Credentials>
  /** Ends every connection. */
  close(): void
}

const patchTypes: Record<PatchType, string> = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  json: 'application/json-patch+json'
}

const timeoutMsDefault = 30_000
// 500 nodes with their image lists are about 25 MB; a list is asked for in pages of that size.
const bodyBytesMax = 48 * 1024 * 1024
const errorBytesMax = 64 * 1024
// One for the watch, one for everything else, and room for a drain's parallel evictions.
const socketsMax = 12

export function createKubeClient(source: CredentialSource): KubeClient {
  const connection = createConnection(source)
  const send = async <T>(method: Method, path: string, options: RequestOptions = {}): Promise<Reply<T>> => {
    const deadline = AbortSignal.timeout(options.timeoutMs ?? timeoutMsDefault)
    const signal = options.signal === undefined ? deadline : AbortSignal.any([deadline, options.signal])
    const reply = await connection.open(method, withQuery(path, options.query), options, signal)
    return { status: reply.statusCode ?? 0, body: parseBody(reply, await readBody(reply, bodyBytesMax)) as T }
  }
  const body = async <T>(method: Method, path: string, options?: RequestOptions) =>
    (await send<T>(method, path, options)).body
  return {
    request: send,
    get: async (path, options) => body('GET', path, options),
    create: async (path, object, options) => body('POST', path, { ...options, body: object }),
    replace: async (path, object, options) => body('PUT', path, { ...options, body: object }),
    patch: async (path, object, type, options) =>
      body('PATCH', path, { ...options, body: object, contentType: patchTypes[type] }),
    delete: async (path, options) => body('DELETE', path, options),
    stream: async (path, { query, headerTimeoutMs = timeoutMsDefault, signal }) => {
      const opening = new AbortController()
      const timer = setTimeout(() => opening.abort(new Error('the API server did not answer in time')), headerTimeoutMs)
      try {
        const both = AbortSignal.any([signal, opening.signal])
        return await connection.open('GET', withQuery(path, query), {}, both)
      } finally {
        clearTimeout(timer)
      }
    },
    credentials: source,
    close: () => connection.close()
  }
}

interface Connection {
  open(method: Method, path: string, options: RequestOptions, signal: AbortSignal): Promise<IncomingMessage>
  close(): void
}

function createConnection(source: CredentialSource): Connection {
  let current: { credentials: Credentials; agent: Agent } | null = null

  async function connect(): Promise<{ credentials: Credentials; agent: Agent }> {
    const credentials = await source()
    if (current?.credentials === credentials) return current
    // Requests under way finish on the old agent; its idle sockets close with it.
    if (current !== null) releaseIdle(current.agent)
    current = { credentials, agent: createAgent(credentials) }
    return current
  }

  async function open(method: Method, path: string, options: RequestOptions, signal: AbortSignal, attempt = 1) {
    const { credentials, agent } = await connect()
    signal.throwIfAborted()
    const { reply, reused, error } = await exchange(credentials, agent, method, path, options, signal)
    if (reply === null) {
      // The server may close an idle connection just as we use it: a read is then asked once more on a new one.
      const again = reused && method === 'GET' && attempt === 1 && !signal.aborted
      if (again) return open(method, path, options, signal, attempt + 1)
      throw error
    }
    const status = reply.statusCode ?? 0
    if (status < 400) return reply
    const text = await readBody(reply, errorBytesMax)
    throw kubeErrorOf(status, reply.headers['retry-after'], text)
  }

  return { open, close: () => current?.agent.destroy() }
}

function createAgent({ caPem, certificatePem, keyPem, serverName }: Credentials): Agent {
  return new Agent({
    keepAlive: true,
    keepAliveMsecs: 15_000,
    maxSockets: socketsMax,
    maxFreeSockets: 1,
    scheduling: 'lifo',
    minVersion: 'TLSv1.2',
    ...(caPem !== null && { ca: caPem }),
    ...(certificatePem !== null && { cert: certificatePem }),
    ...(keyPem !== null && { key: keyPem }),
    ...(serverName !== null && { servername: serverName })
  })
}

function releaseIdle(agent: Agent): void {
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
  agent.maxFreeSockets = 0
}

interface Exchange {
  readonly reply: IncomingMessage | null
  readonly reused: boolean
  readonly error: unknown
}

function exchange(
  { server, token }: Credentials,
  agent: Agent,
  method: Method,
  path: string,
  { body, contentType = 'application/json' }: RequestOptions,
  signal: AbortSignal
): Promise<Exchange> {
  const payload = body === undefined ? null : Buffer.from(JSON.stringify(body))
  const headers = {
    accept: 'application/json',
    'user-agent': 'slipway',
    ...(payload !== null && { 'content-type': contentType, 'content-length': payload.length }),
    ...(token !== null && { authorization: `Bearer ${token}` })
  }
  return new Promise(resolve => {
    const request = httpsRequest(new URL(path, server), { method, agent, headers, signal })
    request.on('response', reply => resolve({ reply, reused: request.reusedSocket, error: null }))
    request.on('error', error => resolve({ reply: null, reused: request.reusedSocket, error }))
    request.end(payload)
  })
}

async function readBody(reply: IncomingMessage, bytesMax: number): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of reply as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > bytesMax) throw new Error(`the API server's reply is larger than ${bytesMax} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parseBody(reply: IncomingMessage, text: string): unknown {
  return (reply.headers['content-type'] ?? '').startsWith('application/json') ? JSON.parse(text) : text
}
