// A simulated kubelet: with its own node credential, as real ones do, it makes its Node, renews its Lease, reports Ready
// and its version, and takes its pods from Pending to Running and, when they are to end, out of the way. It runs no
// container.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createKubeClient, type KubeClient } from '../../../server/kubeapi/client.ts'
import { isKubeError } from '../../../server/kubeapi/errors.ts'
import { fileCredentials } from '../../../server/kubeapi/files.ts'
import type { KubeLease, KubeNode, KubePod } from '../../../server/kubeapi/objects.ts'
import { paths } from '../../../server/kubeapi/paths.ts'
import { list } from '../../../server/kubeapi/watch.ts'
import { pause } from './http.ts'
import { kernelOf, type MachineSpec } from './spec.ts'

export interface KubeletDeps {
  readonly root: string
  readonly spec: MachineSpec
  /** Of the program that runs. */
  readonly version: string
  readonly address: string
  readonly signal: AbortSignal
  readonly console: (line: string) => void
}

export interface Kubelet {
  readonly version: string
  readonly stop: () => Promise<void>
}

/** A real kubelet renews every ten seconds and reports every five minutes: the lab is in a hurry. */
const ROUND_MS = 500

export function startKubelet(deps: KubeletDeps): Kubelet {
  const stopped = new AbortController()
  const signal = AbortSignal.any([deps.signal, stopped.signal])
  const client = createKubeClient(fileCredentials('/etc/kubernetes/kubelet.conf', deps.root))
  const running = run(deps, client, signal).finally(() => client.close())
  return {
    version: deps.version,
    stop: async () => {
      stopped.abort()
      await running
    }
  }
}

async function run(deps: KubeletDeps, client: KubeClient, signal: AbortSignal): Promise<void> {
  let complaint = ''
  while (!signal.aborted) {
    try {
      await round(deps, client, signal)
      complaint = ''
    } catch (error) {
      // The API server may be away, or the credential not be there yet: a kubelet says so once and tries again.
      if (!signal.aborted && (error as Error).message !== complaint) {
        complaint = (error as Error).message
        deps.console(`kubelet: ${complaint}`)
      }
    }
    await pause(ROUND_MS, signal).catch(() => null) // stopped: the loop's condition sees it
  }
}

async function round(deps: KubeletDeps, client: KubeClient, signal: AbortSignal): Promise<void> {
  const flags = await readFlags(deps)
  const name = /--hostname-override=([a-z0-9.-]+)/.exec(flags)?.[1]
  if (name === undefined) throw new Error('no --hostname-override in kubeadm-flags.env')
  const node = await findOrCreateNode(deps, client, name, flags, signal)
  if (needsReport(node, deps.version)) await reportStatus(deps, client, name, signal)
  await renewLease(client, name, signal)
  const { items } = await list<KubePod>(client, paths.allPods, { fieldSelector: `spec.nodeName=${name}` }, signal)
  for (const pod of items) await tend(client, pod, deps.address, signal)
}

/** The flags that kubeadm wrote: the node's name, its labels, its taints. */
async function readFlags({ root }: KubeletDeps): Promise<string> {
  return await readFile(join(root, 'var/lib/kubelet/kubeadm-flags.env'), 'utf8')
}

async function findOrCreateNode(
  { spec }: KubeletDeps,
  client: KubeClient,
  name: string,
  flags: string,
  signal: AbortSignal
): Promise<KubeNode> {
  try {
    return await client.get<KubeNode>(paths.node(name), { signal })
  } catch (error) {
    if (!isKubeError(error, 404)) throw error
    const arch = spec.arch === 'arm64' ? 'arm64' : 'amd64'
    const labels = { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': arch }
    const metadata = { name, labels: { ...labels, ...nodeLabels(flags) } }
    const node = { apiVersion: 'v1', kind: 'Node', metadata, spec: taintsOf(flags) }
    return await client.create<KubeNode>(paths.nodes, node, { signal })
  }
}

function nodeLabels(flags: string): Record<string, string> {
  const text = /--node-labels=([^\s"]+)/.exec(flags)?.[1] ?? ''
  return Object.fromEntries(text.split(',').flatMap(pair => (pair.includes('=') ? [pair.split('=', 2)] : [])))
}

function taintsOf(flags: string): object {
  const text = /--register-with-taints=([^\s"]+)/.exec(flags)?.[1]
  if (text === undefined) return {}
  const taints = text.split(',').map(taint => {
    const [, key = '', value, effect = ''] = /^([^=:]+)(?:=([^:]*))?:(.+)$/.exec(taint) ?? []
    return { key, effect, ...(value !== undefined && value !== '' && { value }) }
  })
  return { taints }
}

function needsReport({ status }: KubeNode, version: string): boolean {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')
  const old = Date.now() - Date.parse(ready?.lastHeartbeatTime ?? '1970-01-01') > 5_000
  return status?.nodeInfo?.kubeletVersion !== version || ready?.status !== 'True' || old
}

async function reportStatus(deps: KubeletDeps, client: KubeClient, name: string, signal: AbortSignal): Promise<void> {
  const { spec, version, address } = deps
  const at = new Date().toISOString().replace(/\.\d+Z$/, 'Z')
  const status = {
    addresses: [
      { type: 'InternalIP', address },
      { type: 'Hostname', address: name }
    ],
    conditions: [
      {
        type: 'Ready',
        status: 'True',
        reason: 'KubeletReady',
        message: 'kubelet is posting ready status (simulated)',
        lastHeartbeatTime: at,
        lastTransitionTime: at
      }
    ],
    nodeInfo: {
      kubeletVersion: version,
      kernelVersion: kernelOf(spec),
      osImage: `${spec.system} (simulated)`,
      operatingSystem: 'linux',
      architecture: spec.arch === 'arm64' ? 'arm64' : 'amd64',
      machineID: spec.uuid.replaceAll('-', ''),
      bootID: `b007${spec.uuid.slice(4)}`
    }
  }
  await client.patch(paths.nodeStatus(name), { status }, 'strategic', { signal })
}

async function renewLease(client: KubeClient, name: string, signal: AbortSignal): Promise<void> {
  // Leases carry microseconds (MicroTime).
  const renewTime = new Date().toISOString().replace('Z', '000Z')
  const spec = { holderIdentity: name, leaseDurationSeconds: 40, renewTime }
  try {
    const lease = await client.get<KubeLease>(paths.lease('kube-node-lease', name), { signal })
    await client.replace(paths.lease('kube-node-lease', name), { ...lease, spec }, { signal })
  } catch (error) {
    if (!isKubeError(error, 404)) throw error
    const metadata = { name, namespace: 'kube-node-lease' }
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec }
    await client.create(paths.leases('kube-node-lease'), lease, { signal })
  }
}

/** One step in a pod's life. A pod that is to end is deleted a second time without grace: only then is it gone. */
async function tend(client: KubeClient, pod: KubePod, address: string, signal: AbortSignal): Promise<void> {
  const { namespace = '', name, uid, deletionTimestamp } = pod.metadata
  try {
    if (deletionTimestamp !== undefined) {
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0, preconditions: { uid } }
      await client.delete(paths.pod(namespace, name), { body, signal })
    } else if (pod.status?.phase === 'Pending') {
      const at = new Date().toISOString().replace(/\.\d+Z$/, 'Z')
      const conditions = ['Ready', 'ContainersReady'].map(type => ({ type, status: 'True', lastTransitionTime: at }))
      const status = { phase: 'Running', startTime: at, hostIP: address, conditions }
      await client.patch(paths.podStatus(namespace, name), { status }, 'strategic', { signal })
    }
  } catch (error) {
    // Somebody else was quicker: the next round sees what is left.
    if (!isKubeError(error, 404) && !isKubeError(error, 409) && !isKubeError(error, 403)) throw error
  }
}
