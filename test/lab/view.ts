// What the lab knows of each machine, from both sides: the rack's (what firmware, installer and system do) and the
// server's (what it makes of it). Pure: merges the two into the rows of the table and says when all is done.

import type { Machine } from '../../server/contract/machine.ts'
import type { KubeNode } from '../../server/kubeapi/objects.ts'
import type { Stage } from './rack/machine.ts'
import type { MachineSpec } from './rack/spec.ts'

/** One machine as the rack sees it. */
export interface Seen {
  readonly spec: MachineSpec
  readonly stage: Stage
  readonly detail: string
  readonly since: Date
  readonly address: string | null
}

export interface Row {
  /** Its place in the rack. */
  readonly machine: string
  /** The name the server gave it, which is the node's. */
  readonly node: string | null
  readonly firmware: string
  readonly system: string
  readonly stage: string
  readonly tone: 'waiting' | 'working' | 'good' | 'bad'
  readonly since: Date
  readonly address: string | null
  readonly next: string
}

const early: Record<Exclude<Stage, 'running'>, string> = {
  off: 'is switched on',
  'power-on': 'takes an address by DHCP',
  address: 'loads its boot program by TFTP',
  'boot program': 'takes an address again, as iPXE',
  'boot script': 'asks the server what to boot',
  waiting: 'asks again',
  installing: 'installs, then starts again',
  rebooting: 'starts again from the network',
  'local disk': 'starts the installed system',
  starting: 'starts the installed system',
  stuck: 'starts over'
}

/** `machine` is null while the server does not know it; `node` while the cluster does not. */
export function rowOf(seen: Seen, machine: Machine | null, node: KubeNode | null, target: string | null): Row {
  const { spec, stage, detail, since, address } = seen
  const base = {
    machine: spec.name,
    node: machine?.name ?? null,
    firmware: `${spec.firmware === 'bios' ? 'BIOS' : 'UEFI'} ${spec.arch}`,
    system: spec.system,
    address
  }
  if (machine?.state === 'failed') {
    return {
      ...base,
      stage: 'failed',
      tone: 'bad',
      since: new Date(machine.since),
      next: machine.reason ?? machine.next
    }
  }
  if (stage !== 'running') {
    const tone = stage === 'stuck' ? 'bad' : stage === 'waiting' ? 'waiting' : 'working'
    const next = stage === 'waiting' ? (machine?.next ?? detail) : stage === 'stuck' ? detail : early[stage]
    return { ...base, stage, tone, since, next }
  }
  if (machine === null) return { ...base, stage: 'agent', tone: 'working', since, next: 'its agent enrols' }
  return { ...base, ...running(machine, node, target) }
}

function running(
  machine: Machine,
  node: KubeNode | null,
  target: string | null
): Pick<Row, 'stage' | 'tone' | 'since' | 'next'> {
  const since = new Date(machine.since)
  switch (machine.state) {
    case 'ready':
      if (!isReady(node)) return { stage: 'not Ready', tone: 'bad', since, next: 'its node has stopped reporting' }
      if (target !== null && isUpgraded(machine, node, target)) {
        return { stage: `Ready ${target}`, tone: 'good', since, next: 'nothing; it has been upgraded' }
      }
      return { stage: `Ready ${versionOf(node)}`, tone: 'good', since, next: machine.next }
    case 'maintenance':
      return { stage: 'upgrading', tone: 'working', since, next: storyOf(node) ?? machine.next }
    case 'enrolled':
      return { stage: node === null ? 'enrolled' : 'joined', tone: 'working', since, next: machine.next }
    default:
      return { stage: 'agent', tone: 'working', since, next: 'its agent enrols' }
  }
}

export function isReady(node: KubeNode | null): boolean {
  return node?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
}

export function versionOf(node: KubeNode | null): string {
  return node?.status?.nodeInfo?.kubeletVersion ?? ''
}

/** What the agent says on its own node. */
function storyOf(node: KubeNode | null): string | null {
  const annotations = node?.metadata.annotations ?? {}
  return annotations['slipway.dev/reason'] ?? null
}

/** In the inventory and in the cluster alike. */
export function isDone(machine: Machine | null, node: KubeNode | null): boolean {
  return machine?.state === 'ready' && isReady(node)
}

/** The kubelet's own version, back in service, and the server has its slot back. */
export function isUpgraded(machine: Machine | null, node: KubeNode | null, target: string): boolean {
  return isDone(machine, node) && versionOf(node) === target && node?.spec?.unschedulable !== true
}
