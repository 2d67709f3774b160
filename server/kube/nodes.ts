// The cluster's nodes as one watch shows them: the list for the page, the news that a machine's node is Ready, the
// labels that only the server may set, and the intents (upgrades.ts). The watch only notes; one worker looks at each
// node as it is now.

import type { NodeView } from '../contract/api.ts'
import type { Profile, Role } from '../contract/document.ts'
import type { Machine } from '../contract/machine.ts'
import { annotation, intent, STATE_LABEL } from '../contract/names.ts'
import type { KubeNode, KubeObject } from '../kubeapi/objects.ts'
import { paths } from '../kubeapi/paths.ts'
import type { WatchEvent } from '../kubeapi/watch.ts'
import type { Log } from '../log.ts'
import { findDocument } from '../store/documents.ts'
import { findMachineByRef } from '../store/machines.ts'
import { recordEvent } from '../timeline.ts'
import { serverLabels } from './node-labels.ts'
import { followIntent, type UpgradeDeps } from './upgrades.ts'
import { createWorkQueue } from './work-queue.ts'

export interface NodeDeps extends Omit<UpgradeDeps, 'wrote'> {
  readonly log: Log
  /** A machine's node is Ready; told again when its version changes. */
  readonly nodeReady: (node: string, version: string | null) => Promise<void>
  /** A node of the control plane runs another version: the API server probably does, too. */
  readonly controlPlaneChanged: () => void
}

/** A node, with the machine that became it. */
export interface KnownNode {
  readonly node: KubeNode
  readonly machine: Machine | null
  readonly role: Role
}

export interface Nodes {
  readonly handle: (event: WatchEvent<KubeNode>) => void
  /** Looks at every node again: the API server has another version now. */
  readonly recheck: () => void
  readonly known: () => readonly KnownNode[]
  readonly views: () => readonly NodeView[]
  readonly close: () => Promise<void>
}

const controlPlaneLabel = 'node-role.kubernetes.io/control-plane'

export function createNodes(deps: NodeDeps): Nodes {
  const nodes = new Map<string, KnownNode>()
  const told = new Map<string, string>()
  const known = () => [...nodes.values()]

  async function look(name: string): Promise<void> {
    const seen = nodes.get(name)
    if (seen === undefined) return
    const entry = await identify(deps, seen.node)
    // The watch may have brought a newer state meanwhile; then it is waiting already.
    if (nodes.get(name)?.node === seen.node) nodes.set(name, entry)
    if (entry.machine?.state === 'retired') return
    await label(deps, entry, wrote)
    await tellReady(deps, told, entry)
    await followIntent({ ...deps, wrote }, nodes.get(name) ?? entry, known())
  }

  const queue = createWorkQueue('kube.node', look, deps.log)
  const keep = (node: KubeNode) => {
    const before = nodes.get(node.metadata.name)
    if (before !== undefined && isOlder(node, before.node)) return
    nodes.set(node.metadata.name, { node, machine: before?.machine ?? null, role: before?.role ?? roleOf(node, null) })
  }
  const wrote = (object: KubeObject) => keep(pickNode(object))
  const note = (node: KubeNode) => {
    keep(node)
    queue.add(node.metadata.name)
  }
  // A change of one node may end the waiting of others.
  const recheck = () => {
    for (const name of nodes.keys()) queue.add(name)
  }
  return {
    handle(event) {
      if (event.type === 'listed') {
        const names = new Set(event.items.map(({ metadata }) => metadata.name))
        for (const name of nodes.keys()) if (!names.has(name)) nodes.delete(name)
        event.items.forEach(note)
      } else if (event.type === 'deleted') {
        nodes.delete(event.object.metadata.name)
        told.delete(event.object.metadata.name)
      } else {
        const before = nodes.get(event.object.metadata.name)
        note(event.object)
        if (asked(event.object) !== asked(before?.node)) recheck()
        const moved = running(event.object) !== running(before?.node)
        if (before?.role === 'control-plane' && moved) deps.controlPlaneChanged()
      }
    },
    recheck,
    known,
    views: () =>
      known()
        .map(viewOf)
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    close: () => queue.close()
  }
}

/** Versions of one object are numbers that grow (promised since Kubernetes 1.35, true long before). */
function isOlder(left: KubeNode, right: KubeNode): boolean {
  const version = ({ metadata }: KubeNode) => BigInt(metadata.resourceVersion ?? 0)
  return left.metadata.uid === right.metadata.uid && version(left) < version(right)
}

function asked(node: KubeNode | undefined): string | undefined {
  return node?.metadata.labels?.[intent.version]
}

function running(node: KubeNode | undefined): string | undefined {
  return node?.status?.nodeInfo?.kubeletVersion
}

/** What is kept of a Node: a real one lists every image and is 12 KB and more. */
export function pickNode(object: KubeObject): KubeNode {
  const { metadata, spec, status } = object as KubeNode
  const { name, uid, resourceVersion, labels = {}, annotations = {} } = metadata
  const { kubeletVersion } = status?.nodeInfo ?? {}
  const kept = Object.entries(annotations).filter(([key]) => key.startsWith('slipway.dev/'))
  return {
    metadata: {
      name,
      ...(uid !== undefined && { uid }),
      ...(resourceVersion !== undefined && { resourceVersion }),
      labels,
      annotations: Object.fromEntries(kept)
    },
    spec: { unschedulable: spec?.unschedulable ?? false },
    status: {
      conditions: (status?.conditions ?? []).filter(({ type }) => type === 'Ready'),
      ...(kubeletVersion !== undefined && { nodeInfo: { kubeletVersion } })
    }
  }
}

async function identify({ db }: NodeDeps, node: KubeNode): Promise<KnownNode> {
  const { name } = node.metadata
  const found = await findMachineByRef(db, name)
  // A reference may also be an id or an address; only its own name makes a machine this node.
  const machine = found?.name === name ? found : null
  return { node, machine, role: roleOf(node, await profileOf(db, machine)) }
}

async function profileOf(db: NodeDeps['db'], machine: Machine | null): Promise<Profile | null> {
  if (machine === null || machine.profile === null) return null
  return findDocument(db, 'Profile', machine.profile)
}

function roleOf({ metadata }: KubeNode, profile: Profile | null): Role {
  if (profile !== null) return profile.spec.kubernetes.role
  return metadata.labels?.[controlPlaneLabel] === undefined ? 'worker' : 'control-plane'
}

/** Once, when they are missing: a person may change them afterwards, but for the role. */
async function label(
  deps: NodeDeps,
  { node, machine, role }: KnownNode,
  wrote: (object: KubeObject) => void
): Promise<void> {
  if (machine === null) return
  const profile = await profileOf(deps.db, machine)
  const wanted = [
    ...serverLabels(profile?.spec.labels ?? {}),
    ...(role === 'control-plane' ? [[controlPlaneLabel, ''] as const] : [])
  ]
  const has = node.metadata.labels ?? {}
  const missing = Object.fromEntries(wanted.filter(([key]) => has[key] === undefined))
  const keys = Object.keys(missing)
  if (keys.length === 0) return
  wrote(await deps.kube.patch(paths.node(node.metadata.name), { metadata: { labels: missing } }, 'merge'))
  await recordEvent(deps, {
    type: 'node.labelled',
    machine: machine.id,
    message: `labelled its node ${node.metadata.name}: ${keys.join(', ')}`,
    detail: { node: node.metadata.name }
  })
}

async function tellReady(deps: NodeDeps, told: Map<string, string>, { node, machine }: KnownNode): Promise<void> {
  const { name, uid = '' } = node.metadata
  if (machine === null || !isReady(node)) return void told.delete(name)
  const version = node.status?.nodeInfo?.kubeletVersion ?? null
  const news = `${uid} ${version} ${machine.state}`
  if (told.get(name) === news) return
  await deps.nodeReady(name, version)
  told.set(name, news)
}

function isReady({ status }: KubeNode): boolean {
  return (status?.conditions ?? []).some(({ type, status: value }) => type === 'Ready' && value === 'True')
}

function viewOf({ node, machine }: KnownNode): NodeView {
  const { name, labels = {}, annotations = {} } = node.metadata
  return {
    name,
    machine: machine?.id ?? null,
    ready: isReady(node),
    version: node.status?.nodeInfo?.kubeletVersion ?? null,
    asked: labels[intent.version] ?? null,
    state: labels[STATE_LABEL] ?? null,
    // The server's answer to an intent says more than the node's own story: that one goes on as before.
    reason: annotations[annotation.answer] ?? annotations[annotation.reason] ?? null,
    next: annotations[annotation.next] ?? null,
    unschedulable: node.spec?.unschedulable ?? false
  }
}
