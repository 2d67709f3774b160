// What provisioning needs of the world. serve.ts supplies it; tests supply their own.

import type { JoinReply } from '../contract/agent.ts'
import type { NodeView } from '../contract/api.ts'
import type { Machine } from '../contract/machine.ts'
import type { Authority } from '../pki/authority.ts'
import type { Recorder } from '../timeline.ts'

export interface Deps extends Recorder {
  readonly authority: Authority
  readonly randomBytes: (size: number) => Buffer
  readonly urls: Urls
  readonly artifacts: Artifacts
  readonly cluster: ClusterPort
  readonly count: Counts
  /** After documents were applied or removed: DHCP keeps addresses for the machines that they name. Does not throw. */
  readonly documentsChanged: () => Promise<void>
}

/** How machines reach us; without a configured URL it is the address they already spoke to. */
export interface Urls {
  readonly boot: (localAddress: string) => string
  /** The boot plane by HTTPS; null where it is off. */
  readonly secureBoot: (localAddress: string) => string | null
  readonly control: (localAddress: string) => string
}

export type Arch = 'x86_64' | 'arm64'

export interface Artifact {
  readonly path: string
  readonly size: number
  readonly sha256: string
}

/** The files that machines are given: null where there is none. */
export interface Artifacts {
  readonly findAgent: (arch: Arch) => Promise<Artifact | null>
  readonly findExtension: (version: string, arch: Arch) => Promise<Artifact | null>
  /** Whether an installer's file is there; a path below /assets/. */
  readonly hasAsset: (path: string) => Promise<boolean>
}

/** The cluster, as far as provisioning asks. It throws Fault unavailable, with the reason, while there is none. */
export interface ClusterPort {
  readonly join: (machine: Machine, now: Date) => Promise<JoinReply>
  /** Takes admin.conf from the first control plane. */
  readonly handover: (machine: Machine, kubeconfig: string, now: Date) => Promise<void>
  readonly nodes: () => readonly NodeView[]
  readonly setVersion: (node: string, version: string) => Promise<void>
  readonly deleteNode: (node: string) => Promise<void>
  readonly upgradeFacts: (node: string) => UpgradeFacts
  /** Whether the API server answers: ok, or why not. null when no cluster is known yet. */
  readonly status: () => { ok: boolean; reason: string } | null
}

/** What a decision about a slot needs to know of the cluster (upgrade/slot.ts). */
export interface UpgradeFacts {
  /** The mirrored label on this node; null when nothing was accepted for it. */
  readonly accepted: string | null
  /** The API server's version, as it says. */
  readonly apiServer: string | null
  /** Control plane nodes that have yet to reach a version they were asked for. */
  readonly controlPlanePending: readonly string[]
}

/** One function a metric, so that a name is written in one place (metrics.ts). */
export interface Counts {
  readonly boot: (result: 'install' | 'hold' | 'local' | 'conflict' | 'invalid') => void
  /** load: from the script to the first read of the config; install: from there to the enrolment. */
  readonly stage: (stage: 'load' | 'install', seconds: number) => void
  readonly config: (kind: 'ignition' | 'kickstart', result: 'delivered' | 'gone' | 'alarm' | 'unready') => void
  readonly certificate: (kind: 'server' | 'boot' | 'machine') => void
  readonly enrolment: (result: 'enrolled' | 'renewed' | 'refused') => void
  readonly join: (result: 'join' | 'init' | 'wait' | 'refused') => void
}
