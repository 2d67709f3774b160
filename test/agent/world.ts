// A machine, a server and a cluster for the agent's tests: a folder as root, programs as functions over it, the server as a
// transport, the cluster as one Node with pods. Each counts what was done to it, so that a test can say "and only once".

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Agent, createAgent } from '../../agent/agent.ts'
import type { Client, Reply } from '../../agent/client.ts'
import { createFiles, type Files } from '../../agent/files.ts'
import { openJournal } from '../../agent/journal.ts'
import type { NodeApi, NodePatch } from '../../agent/kube/node.ts'
import { silentLog } from '../../agent/log.ts'
import type { Ran, Run } from '../../agent/run.ts'
import { MIRRORED_VERSION } from '../../server/contract/names.ts'
import { KubeError } from '../../server/kubeapi/errors.ts'
import type { KubeNode, KubePod } from '../../server/kubeapi/objects.ts'
import { createAuthority } from '../lab/apiserver/certificates.ts'
import { publicKeyOf } from './der.ts'

export const noon = new Date('2026-11-21T12:00:00Z')
export const { signal } = new AbortController()

export interface World {
  readonly root: string
  clock: Date
  readonly files: Files
  /** Commands and requests, in order. */
  readonly log: string[]
  readonly server: ServerState
  readonly cluster: ClusterState
  /** Versions whose kubelet never becomes Ready. */
  readonly broken: Set<string>
  /** Commands (first words) that fail, and how many times. */
  readonly failing: Map<string, number>
}

export interface ServerState {
  role: 'worker' | 'control-plane'
  version: string
  pollSeconds: number
  /** Why nobody may join now; null: may. */
  closed: string | null
  slot: 'free' | 'held' | 'taken'
  returned: string[]
  readonly steps: Map<number, string>
  phase: string
  handedOver: string | null
}

export interface ClusterState {
  node: (KubeNode & { metadata: { labels: Record<string, string>; annotations: Record<string, string> } }) | null
  pods: KubePod[]
  /** Sentences for pods that a budget keeps, by name. */
  readonly budgets: Map<string, string>
  renewedAt: Date
}

export function createWorld(root: string): World {
  const server: ServerState = {
    role: 'worker',
    version: 'v1.35.4',
    pollSeconds: 30,
    closed: null,
    slot: 'free',
    returned: [],
    steps: new Map(),
    phase: '',
    handedOver: null
  }
  const cluster: ClusterState = { node: null, pods: [], budgets: new Map(), renewedAt: new Date(0) }
  const world: World = {
    root,
    clock: noon,
    files: createFiles(root),
    log: [],
    server,
    cluster,
    broken: new Set(),
    failing: new Map()
  }
  put(root, '/etc/slipway/ca.crt', authority.caPem)
  const boot = authority.issue({ commonName: 'b-1', organizations: [] }, 'client', noon)
  put(root, '/etc/slipway/boot.crt', boot.certificatePem)
  put(root, '/etc/slipway/boot.key', boot.keyPem)
  return world
}

export const config = {
  server: 'https://127.0.0.1:1',
  ca: '/etc/slipway/ca.crt',
  bootCertificate: '/etc/slipway/boot.crt',
  bootKey: '/etc/slipway/boot.key',
  runtime: 'containerd' as const
}

export const authority = createAuthority('test authority', noon)

/** A new agent process over the same machine. `files` may be one that breaks. */
export async function startAgent(world: World, files = world.files, run = machineOf(world)): Promise<Agent> {
  return createAgent({
    config,
    files,
    run,
    client: serverOf(world),
    journal: await openJournal(files),
    nodeApi: name => nodeApiOf(world, name),
    hardware: async () => ({ 'hw.slipway.dev/cpu-sockets': '2' }),
    log: silentLog,
    now: () => world.clock
  })
}

/** Ticks until the agent has nothing to do at `goal`; time passes as the agent would sleep. */
export async function settle(world: World, agent: Agent, goal: () => boolean, ticksMax = 200): Promise<void> {
  for (let tick = 0; tick < ticksMax; tick += 1) {
    const waitMs = await agent.tick(signal).catch((error: unknown) => {
      if (error instanceof Crash) throw error
      world.log.push(`tick failed: ${(error as Error).message}`)
      return 1_000
    })
    world.clock = new Date(world.clock.getTime() + waitMs + 10)
    live(world)
    if (waitMs > 0 && goal()) return
  }
  throw new Error(`not there after ${ticksMax} ticks: ${world.log.slice(-10).join('\n')}`)
}

export class Crash extends Error {}

/** What goes on without the agent: pods end, the kubelet renews its lease and says what it is. */
export function live(world: World): void {
  const { cluster, root } = world
  cluster.pods = cluster.pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  const running = versionOfProcess(root)
  if (cluster.node === null || running === null) return
  cluster.renewedAt = world.clock
  const status = world.broken.has(running) ? 'False' : 'True'
  cluster.node = {
    ...cluster.node,
    status: {
      nodeInfo: { kubeletVersion: running },
      conditions: [{ type: 'Ready', status, message: 'CNI is missing' }]
    }
  }
}

function versionOfProcess(root: string): string | null {
  const path = join(root, 'proc/77/exe')
  return existsSync(path) ? versionIn(readFileSync(path, 'utf8')) : null
}

/** A kubelet's binary, and the extension image that holds it: a script that says its version. */
function imageOf(version: string): Buffer {
  return Buffer.from(`#!/bin/sh\necho Kubernetes ${version}\n`)
}

function versionIn(image: string): string | null {
  return /Kubernetes (v\S+)/.exec(image)?.[1] ?? null
}

function put(root: string, path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

/** The programs of the machine. */
export function machineOf(world: World): Run {
  const { root, log, failing, cluster, server } = world
  const ok = (stdout = ''): Ran => ({ exitCode: 0, stdout, stderr: '' })
  return async (file, args) => {
    const command = [file.replace(root, ''), ...args].join(' ').replaceAll(root, '')
    if (!/--version|show -p/.test(command)) log.push(command)
    const left = failing.get(args[0] ?? '') ?? 0
    if (left > 0) {
      failing.set(args[0]!, left - 1)
      return { exitCode: 1, stdout: '', stderr: 'it does not work' }
    }
    if (args[0] === '--version') {
      const version = existsSync(file) ? versionIn(readFileSync(file, 'utf8')) : null
      return version === null ? { exitCode: null, stdout: '', stderr: 'ENOENT' } : ok(`Kubernetes ${version}\n`)
    }
    switch (command) {
      case 'systemctl show -p MainPID --value kubelet':
        return ok(existsSync(join(root, 'proc/77/exe')) ? '77\n' : '0\n')
      case 'systemd-sysext refresh':
        merge(root)
        return ok()
      case 'systemctl restart kubelet':
      case 'systemctl enable --now kubelet':
        if (args[0] === 'restart' || !existsSync(join(root, 'proc/77/exe'))) startKubelet(root)
        return ok()
      case 'kubeadm join --config=/run/slipway/join.yaml':
        if (existsSync(join(root, 'etc/kubernetes/kubelet.conf')))
          return { exitCode: 2, stdout: '', stderr: 'FileAvailable' }
        enterCluster(world)
        return ok()
      case 'kubeadm init --config=/run/slipway/init.yaml':
        enterCluster(world)
        put(root, '/etc/kubernetes/admin.conf', 'admin')
        return ok()
      case 'kubeadm reset --force':
        rmSync(join(root, 'etc/kubernetes'), { recursive: true, force: true })
        rmSync(join(root, 'var/lib/kubelet'), { recursive: true, force: true })
        rmSync(join(root, 'proc/77'), { recursive: true, force: true })
        if (server.role === 'control-plane') cluster.node = null
        return ok()
      default:
        return ok()
    }
  }
}

function merge(root: string): void {
  const link = join(root, 'var/lib/extensions/kubernetes.raw')
  const image = readFileSync(join(dirname(link), readlinkSync(link)), 'utf8')
  put(root, '/usr/bin/kubelet', image)
}

function startKubelet(root: string): void {
  // Another file each time: the agent asks a process for its version once.
  rmSync(join(root, 'proc/77'), { recursive: true, force: true })
  put(root, '/proc/77/exe', readFileSync(join(root, 'usr/bin/kubelet'), 'utf8'))
}

function enterCluster({ root, cluster }: World): void {
  put(root, '/etc/kubernetes/kubelet.conf', 'kubeconfig')
  put(root, '/var/lib/kubelet/config.yaml', 'v1.35 config')
  startKubelet(root)
  cluster.node ??= { metadata: { name: 'n1', resourceVersion: '1', labels: {}, annotations: {} }, spec: {} }
}

/** The server's side of the contract. */
export function serverOf(world: World): Client {
  const { server, log } = world
  const reply = (status: number, body: object = {}): Reply => ({ status, body, retryAfterSeconds: null })
  const routes: Record<string, (body: Record<string, unknown>) => Reply> = {
    'GET /desired': () =>
      reply(200, { node: { name: 'n1', role: server.role, version: server.version }, pollSeconds: server.pollSeconds }),
    'POST /join': () => {
      if (server.closed !== null) return reply(503, { title: 'not yet', detail: server.closed })
      if (server.role === 'control-plane') return reply(200, { action: 'init', config: 'init' })
      return reply(200, {
        action: 'join',
        config: 'token',
        discovery: 'token',
        discoveryPath: '/run/slipway/discovery.yaml'
      })
    },
    'POST /cluster': body => {
      server.handedOver = String(body['kubeconfig'])
      return reply(200)
    },
    'POST /report': body => {
      server.phase = String(body['phase'])
      for (const step of body['steps'] as { seq: number; step: string; edge: string; message: string }[]) {
        server.steps.set(step.seq, `${step.step} ${step.edge}${step.edge === 'begin' ? '' : `: ${step.message}`}`)
      }
      return reply(200)
    },
    'POST /slot': () => {
      if (server.slot === 'taken') return reply(409, { granted: false, reason: 'n2 has the slot', command: 'node' })
      server.slot = 'held'
      return reply(200, { granted: true, reason: '', command: server.role === 'worker' ? 'node' : 'apply' })
    },
    'DELETE /slot': body => {
      server.slot = 'free'
      server.returned.push(String(body['outcome']))
      return reply(200)
    }
  }
  const send: Client['send'] = async (method, path, body, credentials) => {
    const route = `${method} ${path.replace('/agent/v1', '')}`
    if (!/desired|report/.test(route)) log.push(route)
    if (route === 'POST /enrol' || route === 'POST /renew') return reply(200, enrolled(world, body as { csr: string }))
    if (!/BEGIN CERTIFICATE/.test(credentials.certificatePem)) return reply(401)
    const version = /^GET \/extensions\/(.+)$/.exec(route)?.[1]
    if (version !== undefined) {
      const image = imageOf(version)
      const sha256 = createHash('sha256').update(image).digest('hex')
      return reply(200, { version, url: `http://x/${version}`, size: image.length, sha256 })
    }
    return routes[route]!((body ?? {}) as Record<string, unknown>)
  }
  const download: Client['download'] = async function* (url) {
    yield imageOf(url.split('/').at(-1)!)
  }
  return { send, download, close: () => {} }
}

function enrolled({ clock }: World, { csr }: { csr: string }): object {
  const certificate = authority.certify({ commonName: 'm-1', organizations: [] }, publicKeyOf(csr), 'client', clock)
  return { certificate, ca: authority.caPem, machine: { id: 'm-1', name: 'n1' }, renewBeforeSeconds: 86_400 }
}

export function nodeApiOf({ cluster, log, clock }: World, name: string): NodeApi {
  return {
    find: async () => (cluster.node?.metadata.name === name ? structuredClone(cluster.node) : null),
    patch: async patch => {
      log.push(`patch ${JSON.stringify(patch.spec ?? patch.metadata?.labels ?? {})}`)
      applyPatch(cluster, patch)
    },
    pods: async () => structuredClone(cluster.pods),
    evict: async pod => {
      const { name } = pod.metadata
      const budget = cluster.budgets.get(name)
      log.push(`evict ${name}`)
      if (budget !== undefined) {
        throw new KubeError(
          429,
          'TooManyRequests',
          'Cannot evict pod',
          [{ reason: 'DisruptionBudget', message: budget, field: '' }],
          null
        )
      }
      cluster.pods = cluster.pods.map(one =>
        one.metadata.uid === pod.metadata.uid
          ? { ...one, metadata: { ...one.metadata, deletionTimestamp: clock.toISOString() } }
          : one
      )
    },
    renewedAt: async () => cluster.renewedAt
  }
}

export function applyPatch(cluster: ClusterState, { metadata = {}, spec }: NodePatch): void {
  const node = structuredClone(cluster.node)!
  for (const kind of ['labels', 'annotations'] as const) {
    for (const [key, value] of Object.entries(metadata[kind] ?? {})) {
      if (value === null) delete node.metadata[kind][key]
      else node.metadata[kind][key] = value
    }
  }
  cluster.node =
    spec === undefined ? node : { ...node, spec: spec.unschedulable === true ? { unschedulable: true } : {} }
}

/** As the server mirrors what an administrator asked for; null takes the label away. */
export function askFor({ cluster }: World, version: string | null): void {
  applyPatch(cluster, { metadata: { labels: { [MIRRORED_VERSION]: version } } })
}

export function pod(name: string, more: Partial<KubePod['metadata']> = {}): KubePod {
  return { metadata: { name, namespace: 'default', uid: `uid-${name}`, ...more }, status: { phase: 'Running' } }
}
