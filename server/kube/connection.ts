// The connection to one cluster while the server runs: what must be there is installed, nodes and certificate
// requests are watched, expired tokens removed, and the API server's version asked now and then. All of it goes on by
// itself after failures.

import type { KubeClient } from '../kubeapi/client.ts'
import { isKubeError } from '../kubeapi/errors.ts'
import type { CertificateSigningRequest, KubeNode, KubeObject, ServerVersion } from '../kubeapi/objects.ts'
import { paths } from '../kubeapi/paths.ts'
import { watch } from '../kubeapi/watch.ts'
import type { Log } from '../log.ts'
import type { Recorder } from '../timeline.ts'
import { installObjects } from './install.ts'
import { judgeRequest } from './joins.ts'
import { createNodes, type Nodes, pickNode } from './nodes.ts'
import { endExpiredTokens } from './tokens.ts'
import { createWorkQueue } from './work-queue.ts'

export interface ConnectionDeps extends Recorder {
  readonly log: Log
  readonly kube: KubeClient
  readonly nodeReady: (node: string, version: string | null) => Promise<void>
}

export interface Connection {
  readonly kube: KubeClient
  readonly nodes: Nodes
  /** v1.36.3; null before the first answer. */
  readonly apiServer: () => string | null
  readonly status: () => { ok: boolean; reason: string }
  readonly close: () => Promise<void>
}

const retryMs = 2000
const checkMs = 10_000

export function connect(deps: ConnectionDeps): Connection {
  const { kube, log } = deps
  const closing = new AbortController()
  const { signal } = closing
  let apiServer: string | null = null
  let status = { ok: false, reason: 'connecting to the API server' }
  let waking = new AbortController()
  /** The version may have changed: asked now, not at the next turn. */
  const askSoon = () => waking.abort()
  const nodes = createNodes({ ...deps, apiServer: () => apiServer, controlPlaneChanged: askSoon })
  const requests = createWorkQueue('kube.csr', async name => judge(deps, name), log)

  async function check(): Promise<boolean> {
    try {
      const { gitVersion } = await kube.get<ServerVersion>(paths.version, { signal, timeoutMs: checkMs })
      if (apiServer === null) await install(deps, signal)
      if (gitVersion !== apiServer) {
        log.info('kube.version', { version: gitVersion })
        apiServer = gitVersion
        nodes.recheck()
      }
      await endExpiredTokens(deps, deps.now())
      status = { ok: true, reason: '' }
    } catch (error) {
      if (signal.aborted) return false
      const reason = `the API server does not answer as it should: ${reasonOf(error)}`
      if (status.reason !== reason) log.warn('kube.failed', { reason })
      status = { ok: false, reason }
    }
    return status.ok
  }

  async function checking(): Promise<void> {
    while (!signal.aborted) {
      const ok = await check()
      waking = new AbortController()
      const early = AbortSignal.any([signal, waking.signal])
      await pause(ok ? checkMs : retryMs, early)
    }
  }

  const failed = (what: string) => (error: unknown, failures: number) => {
    log.warn('kube.watch', { what, failures, reason: reasonOf(error) })
    askSoon()
  }
  const tasks = [
    checking(),
    watch<KubeNode>(kube, paths.nodes, { pick: pickNode }, { handle: nodes.handle, failed: failed('nodes') }, signal),
    watch<CertificateSigningRequest>(
      kube,
      paths.csrs,
      { pick: pickRequest },
      {
        handle: event => {
          const seen = event.type === 'listed' ? event.items : event.type === 'deleted' ? [] : [event.object]
          for (const csr of seen) if (concernsUs(csr)) requests.add(csr.metadata.name)
        },
        failed: failed('certificate requests')
      },
      signal
    )
  ]
  const running = Promise.all(tasks.map(task => task.catch((error: unknown) => log.error('kube.bug', { error }))))

  return {
    kube,
    nodes,
    apiServer: () => apiServer,
    status: () => status,
    async close() {
      closing.abort()
      await Promise.all([nodes.close(), requests.close()])
      kube.close()
      await running
    }
  }
}

async function install({ kube, log }: ConnectionDeps, signal: AbortSignal): Promise<void> {
  const written = await installObjects(kube, signal)
  if (written > 0) log.info('kube.installed', { objects: written })
}

/** Gone meanwhile: nothing to judge. A conflict: the watch brings it again, and so does the retry. */
async function judge(deps: ConnectionDeps, name: string): Promise<void> {
  await judgeRequest(deps, name).catch((error: unknown) => {
    if (!isKubeError(error, 404)) throw error
  })
}

function pickRequest(object: KubeObject): CertificateSigningRequest {
  const { metadata, spec, status } = object as CertificateSigningRequest
  const { username = '', signerName } = spec
  return {
    metadata: { name: metadata.name, resourceVersion: metadata.resourceVersion ?? '' },
    spec: { request: '', signerName, username },
    ...(status !== undefined && { status: { conditions: status.conditions ?? [] } })
  }
}

function concernsUs({ spec }: CertificateSigningRequest): boolean {
  return spec.username?.startsWith('system:bootstrap:') === true
}

/** Ends early, and without an error, when the signal says so. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const timer = setTimeout(resolve, ms)
    const end = () => {
      clearTimeout(timer)
      resolve()
    }
    if (signal.aborted) end()
    else signal.addEventListener('abort', end, { once: true })
  })
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
