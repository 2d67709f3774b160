// The simulated API server of `slipway lab`: TLS on loopback with an authority of its own, the subset of the
// Kubernetes API that Slipway uses, held to the truth by test/contract/kubeapi.test.ts. Objects live in memory and
// die with it.

import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { createAuthority, type Subject } from './certificates.ts'
import { startControllers } from './controllers.ts'
import type { ExpectedPods } from './eviction.ts'
import { createObjectStore, type Json, type ObjectStore } from './objects.ts'
import { Refusal, statusOf } from './refusal.ts'
import { respond } from './requests.ts'
import { putKubeadmConfig, seed } from './seed.ts'
import { authenticate } from './users.ts'
import { serveWatch } from './watching.ts'

export interface SimulationOptions {
  /** v1.35.4 */
  readonly version: string
  readonly now: () => Date
  /** 0: a free one. */
  readonly port?: number
  /** How many pods the owner of a budget's pods wants; else as many as there are. */
  readonly expectedPods?: ExpectedPods
  /** Changes kept for watches that resume; fewer make 410 easy to provoke. */
  readonly historyMax?: number
  readonly bookmarkMs?: number
  /** Told of a bug in the simulation; its client got a 500. */
  readonly failed: (error: unknown) => void
}

export interface SimulatedApiServer {
  /** https://127.0.0.1:port */
  readonly url: string
  readonly caPem: string
  /** A kubeconfig of system:masters, everything inline. */
  readonly adminKubeconfig: string
  /** Direct access for the lab; written objects reach watches like any others. */
  readonly store: ObjectStore
  /** A kubeconfig for anybody, e.g. {commonName: 'system:node:n1', organizations: ['system:nodes']}. */
  kubeconfigFor(subject: Subject): string
  /** What /version says, as after an upgrade of the control plane. */
  setVersion(version: string): void
  /** Cuts every connection, as a restart does. */
  interrupt(): void
  close(): Promise<void>
}

const bodyBytesMax = 3 * 1024 * 1024 // the real server's limit
const bookmarkMsDefault = 10_000

export async function startSimulatedApiServer(options: SimulationOptions): Promise<SimulatedApiServer> {
  const { now, failed } = options
  const authority = createAuthority('kubernetes', now())
  const store = createObjectStore(now, options.historyMax)
  let version = options.version
  const own = authority.issue({ commonName: 'kube-apiserver', organizations: [] }, 'server', now())
  const server = createServer(
    { key: own.keyPem, cert: own.certificatePem, ca: authority.caPem, requestCert: true, rejectUnauthorized: false },
    (request, response) => {
      answer(request, response).catch((error: unknown) => fail(response, error, failed))
    }
  )

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'https://localhost')
    const body = await readBody(request)
    const user = authenticate(request.socket as TLSSocket, request.headers.authorization, store, now())
    if (url.pathname === '/version') return send(response, 200, versionReply(version))
    if (['/readyz', '/livez', '/healthz'].includes(url.pathname)) return sendText(response, 'ok')
    const reply = respond(
      store,
      {
        user,
        method: request.method ?? 'GET',
        path: url.pathname,
        query: url.searchParams,
        contentType: request.headers['content-type'] ?? 'application/json',
        body
      },
      now()
    )
    if ('watch' in reply) serveWatch(store, reply.watch, response, options.bookmarkMs ?? bookmarkMsDefault)
    else send(response, reply.code, reply.body)
  }

  server.listen(options.port ?? 0, '127.0.0.1')
  await once(server, 'listening')
  const endpoint = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const url = `https://${endpoint}`
  seed(store, endpoint, version)
  const stop = startControllers(store, authority, options.expectedPods ?? ((_, pods) => pods.length), now, failed)
  const kubeconfigFor = (subject: Subject) =>
    kubeconfig(url, authority.caPem, authority.issue(subject, 'client', now()))
  return {
    url,
    caPem: authority.caPem,
    adminKubeconfig: kubeconfigFor({ commonName: 'kubernetes-admin', organizations: ['system:masters'] }),
    store,
    kubeconfigFor,
    setVersion(next) {
      version = next
      putKubeadmConfig(store, endpoint, next)
    },
    interrupt: () => server.closeAllConnections(),
    async close() {
      stop()
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    }
  }
}

function fail(response: ServerResponse, error: unknown, failed: (error: unknown) => void): void {
  const refusal = error instanceof Refusal ? error : new Refusal(500, 'InternalError', 'Internal error occurred')
  if (!(error instanceof Refusal)) failed(error)
  if (response.headersSent) response.destroy()
  else send(response, refusal.code, statusOf(refusal), refusal.retryAfterSeconds)
}

function send(response: ServerResponse, code: number, body: Json, retryAfterSeconds: number | null = null): void {
  const text = JSON.stringify(body)
  response.writeHead(code, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    ...(retryAfterSeconds !== null && { 'retry-after': String(retryAfterSeconds) })
  })
  response.end(text)
}

function sendText(response: ServerResponse, text: string): void {
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' })
  response.end(text)
}

function versionReply(gitVersion: string): Json {
  const [, major = '', minor = ''] = /^v(\d+)\.(\d+)/.exec(gitVersion) ?? []
  return { major, minor, gitVersion, platform: 'linux/amd64' }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > bodyBytesMax)
      throw new Refusal(413, 'RequestEntityTooLarge', 'Request entity too large: limit is 3145728')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function kubeconfig(
  server: string,
  caPem: string,
  { certificatePem, keyPem }: { certificatePem: string; keyPem: string }
) {
  const base64 = (pem: string) => Buffer.from(pem).toString('base64')
  return `apiVersion: v1
kind: Config
current-context: lab
contexts: [{name: lab, context: {cluster: lab, user: lab}}]
clusters:
- name: lab
  cluster: {server: "${server}", certificate-authority-data: ${base64(caPem)}}
users:
- name: lab
  user:
    client-certificate-data: ${base64(certificatePem)}
    client-key-data: ${base64(keyPem)}
`
}
