// A server's HTTP planes in a test: a store in memory, a data folder with small files, everything else plain.

import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import type { JoinReply } from '../../server/contract/agent.ts'
import type { AccessRole, NodeView } from '../../server/contract/api.ts'
import type { Profile, Rule } from '../../server/contract/document.ts'
import type { Machine } from '../../server/contract/machine.ts'
import type { DhcpServerView, Notice } from '../../server/contract/network.ts'
import { Fault } from '../../server/core/fault.ts'
import type { HttpDeps } from '../../server/http/deps.ts'
import { createDownloads } from '../../server/http/download/serve.ts'
import { openFiles } from '../../server/http/files.ts'
import { createLogins } from '../../server/http/logins.ts'
import type { Log } from '../../server/log.ts'
import { createMetrics } from '../../server/metrics.ts'
import type { Authority } from '../../server/pki/authority.ts'
import { digest } from '../../server/provision/ids.ts'
import { putDocument } from '../../server/store/documents.ts'
import type { Db } from '../../server/store/schema.ts'
import { createToken } from '../../server/store/tokens.ts'
import { createBus } from '../../server/timeline.ts'
import type { Page } from '../../server/web/build.ts'
import { later, memoryDatabase, noon } from './database.ts'

export interface World extends HttpDeps {
  readonly data: string
  /** The time that the server reads; tests move it. */
  readonly clock: { now: Date }
  readonly nodesSeen: NodeView[]
  readonly asked: string[]
  /** What DHCP is said to have noticed. */
  readonly others: DhcpServerView[]
  readonly noticed: Notice[]
  /** Where the planes are; tests that listen say so here. */
  readonly places: { boot: string; control: string }
  readonly services: { tftp: number | null; dhcp: { server: number; client: number } | null }
  /** Lines of the log at warn and above: a test that wants none says so. */
  readonly logged: Array<{ event: string; fields: object }>
  /** Authorization headers. */
  readonly tokens: Record<AccessRole, string>
}

export const noPage: Page = { files: new Map(), scriptHashes: [] }

/** Without a store of the caller's, one in memory. */
export async function createWorld(
  t: Test,
  authority: Authority,
  page = noPage,
  given: Db | null = null
): Promise<World> {
  const db = given ?? (await memoryDatabase(t))
  const data = mkdtempSync(join(tmpdir(), 'slipway-http-'))
  t.teardown(() => rmSync(data, { recursive: true, force: true }))
  fill(data)
  const clock = { now: noon }
  const now = () => clock.now
  const nodesSeen: NodeView[] = []
  const asked: string[] = []
  const places = { boot: 'http://192.0.2.1:8080', control: 'https://192.0.2.1:8443' }
  const logged: World['logged'] = []
  const keep = (event: string, fields: object = {}) => void logged.push({ event, fields })
  const log: Log = { debug() {}, info() {}, warn: keep, error: keep }
  const others: DhcpServerView[] = []
  const notices: Notice[] = []
  const metrics = createMetrics(
    db,
    () => nodesSeen,
    () => ({ others: () => others, notices: () => notices })
  )
  const world: World = {
    db,
    data,
    clock,
    now,
    nodesSeen,
    asked,
    logged,
    log,
    authority,
    randomBytes,
    bus: createBus(),
    urls: { boot: () => places.boot, secureBoot: () => null, control: () => places.control },
    places,
    artifacts: openFiles(data),
    downloads: createDownloads({ log, now, sender: null, count: metrics.counts.download }),
    cluster: fakeCluster(nodesSeen, asked),
    documentsChanged: async () => void asked.push('documents'),
    count: metrics.counts,
    metrics,
    logins: createLogins(randomBytes, now),
    page,
    firmwareCa: null,
    loader: 'ipxe',
    others,
    noticed: notices,
    network: { others: () => others, notices: () => notices },
    services: { tftp: null, dhcp: null },
    tokens: { viewer: 'Bearer viewer-token', operator: 'Bearer operator-token', admin: 'Bearer admin-token' }
  }
  for (const role of ['viewer', 'operator', 'admin'] as const) {
    await createToken(db, role, role, digest(`${role}-token`), noon)
  }
  return world
}

function fill(data: string): void {
  const files: Record<string, string> = {
    'assets/fcos/vmlinuz': 'kernel of fcos',
    'assets/fcos/initrd.img': 'initrd of fcos',
    'assets/fcos/rootfs.img': 'rootfs of fcos',
    'assets/.hidden': 'nobody sees this',
    'assets/fcos/.treeinfo': '[general]',
    'boot/snponly.efi': 'ipxe',
    'agents/slipway-agent-x86_64': 'agent',
    'agents/slipway-agent-arm64': 'agent for arm',
    'extensions/kubernetes-v1.36.3-x86_64.raw': 'extension',
    'secret.txt': 'outside'
  }
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(data, dirname(path)), { recursive: true })
    writeFileSync(join(data, path), text)
  }
}

function fakeCluster(nodesSeen: NodeView[], asked: string[]): HttpDeps['cluster'] {
  const reply: JoinReply = { action: 'join', config: 'config', discovery: 'discovery', discoveryPath: '/etc/x' }
  return {
    join: async (machine: Machine) => {
      if (machine.name === 'early') throw new Fault('unavailable', 'the control plane is not up yet')
      return reply
    },
    handover: async (machine, kubeconfig) => void asked.push(`handover ${machine.id} ${kubeconfig.length}`),
    nodes: () => nodesSeen,
    setVersion: async (node, version) => void asked.push(`version ${node} ${version}`),
    upgradeFacts: () => ({ accepted: 'v1.36.3', apiServer: 'v1.36.3', controlPlanePending: [] }),
    deleteNode: async node => void asked.push(`delete ${node}`),
    status: () => ({ ok: true, reason: '' })
  }
}

export const profile: Profile = {
  apiVersion: 'slipway.dev/v1',
  kind: 'Profile',
  metadata: { name: 'worker' },
  spec: {
    os: { name: 'fedora-coreos', version: '44', assets: 'fcos' },
    disks: { install: '/dev/vda' },
    kubernetes: { cluster: 'rack', role: 'worker', version: 'v1.36.3', runtime: 'containerd' }
  }
}

export function ruleOf(approve: 'auto' | 'manual', match: Rule['spec']['match'] = {}): Rule {
  return {
    apiVersion: 'slipway.dev/v1',
    kind: 'Rule',
    metadata: { name: 'all' },
    spec: { match, profile: 'worker', approve, name: 'node-{number}' }
  }
}

export async function putDocuments(world: World, approve: 'auto' | 'manual'): Promise<void> {
  await putDocument(world.db, profile, noon)
  await putDocument(world.db, ruleOf(approve), noon)
}

/** What iPXE of machine number `n` asks. */
export function bootUrl(n: number, claims: Record<string, string> = {}): string {
  const hex = n.toString(16).padStart(2, '0')
  const values = {
    mac: `52-54-00-00-00-${hex}`,
    uuid: `4c4c4544-0000-1000-8000-0000000000${hex}`,
    serial: `SN${hex}`,
    manufacturer: 'QEMU',
    product: 'Standard PC',
    arch: 'x86_64',
    platform: 'efi',
    ...claims
  }
  const query = Object.entries(values).map(([key, value]) => `${key}=${encodeURIComponent(value)}`)
  return `/boot/ipxe?${query.join('&')}`
}

/** Signs nothing: for what only carries certificates. Serials are serial-1, serial-2, … */
export function fakeAuthority(): Authority {
  let count = 0
  const issue = () => {
    count += 1
    const certificatePem = `certificate ${count}\n`
    return { serial: `serial-${count}`, certificatePem, keyPem: 'PRIVATE KEY\n', expiresAt: later(3600) }
  }
  return { caPem: 'authority\n', issueServer: issue, issueBoot: issue, issueMachine: issue }
}

export function nodeView(name: string, version: string): NodeView {
  const quiet = { asked: null, state: 'ready', reason: null, next: null, unschedulable: false }
  return { name, machine: null, ready: true, version, ...quiet }
}
