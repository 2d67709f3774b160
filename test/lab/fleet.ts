// What is known of all machines of the rack now, from three sides: the rack tells its stages, the server its inventory,
// the cluster its nodes.

import type { Machine } from '../../server/contract/machine.ts'
import type { KubeNode } from '../../server/kubeapi/objects.ts'
import type { Stage } from './rack/machine.ts'
import { type MachineSpec, rackOf } from './rack/spec.ts'
import { type Row, rowOf, type Seen } from './view.ts'

export interface Member {
  readonly seen: Seen
  readonly machine: Machine | null
  readonly node: KubeNode | null
}

export interface Fleet {
  readonly stage: (spec: MachineSpec, stage: Stage, detail: string) => void
  readonly addressed: (spec: MachineSpec, address: string) => void
  /** Takes over what the server and the cluster say now. */
  readonly update: (machines: readonly Machine[], nodes: readonly KubeNode[]) => void
  /** Shown as wanted from now on. */
  readonly aim: (target: string) => void
  readonly members: () => readonly Member[]
  readonly rows: () => readonly Row[]
}

/** `changed` is told of every new stage at once; what server and cluster say is looked at now and then. */
export function createFleet(count: number, now: () => Date, changed: () => void): Fleet {
  const start = now()
  const seen = new Map<string, Seen>(
    rackOf(count).map(spec => [spec.name, { spec, stage: 'off', detail: '', since: start, address: null }])
  )
  let machines: readonly Machine[] = []
  let nodes: readonly KubeNode[] = []
  let target: string | null = null
  const change = (spec: MachineSpec, fields: Partial<Seen>): void => {
    seen.set(spec.name, { ...seen.get(spec.name)!, ...fields })
  }
  const members = (): Member[] =>
    [...seen.values()].map(one => {
      const machine = machines.find(({ macs }) => macs.includes(one.spec.mac)) ?? null
      const node = nodes.find(({ metadata }) => metadata.name === machine?.name) ?? null
      return { seen: one, machine, node }
    })
  return {
    stage: (spec, stage, detail) => {
      const before = seen.get(spec.name)!
      // A hold says the same again and again: it has been so since the first time.
      if (before.stage !== stage && !(before.stage === 'waiting' && stage === 'boot script')) {
        change(spec, { stage, detail, since: now() })
        changed()
      }
    },
    addressed: (spec, address) => change(spec, { address }),
    update: (newMachines, newNodes) => {
      machines = newMachines
      nodes = newNodes
    },
    aim: version => {
      target = version
    },
    members,
    rows: () => members().map(({ seen: one, machine, node }) => rowOf(one, machine, node, target))
  }
}
