// What the machine, the disk and the cluster say now, as one value for decide.ts. Looks and changes nothing. Versions
// are asked of programs only when the program or the process has become another one.

import type { Desired } from '../server/contract/agent.ts'
import { MIRRORED_VERSION } from '../server/contract/names.ts'
import { KubeError } from '../server/kubeapi/errors.ts'
import type { KubeNode } from '../server/kubeapi/objects.ts'
import type { Observed } from './decide.ts'
import type { Files } from './files.ts'
import { type Identity, stateOf } from './identity.ts'
import type { NodeApi } from './kube/node.ts'
import { hasTraces } from './kubeadm/join.ts'
import { findInstalled, findLinked, findRunning, listStaged } from './os/sysext.ts'
import { findMainPid } from './os/systemd.ts'
import { paths } from './paths.ts'
import type { Progress } from './progress.ts'
import type { Run } from './run.ts'

export interface FactsDeps {
  readonly files: Files
  readonly run: Run
  /** Told when the API server could not be asked, for the log. */
  readonly failed: (error: unknown) => void
}

export interface Situation {
  readonly identity: Identity | null
  readonly desired: Desired | null
  readonly progress: Progress
  readonly api: NodeApi | null
  /** Whether the Node lacks labels or annotations. */
  readonly unlabelled: (node: KubeNode) => boolean
}

export interface Facts {
  readonly observed: Observed
  readonly node: KubeNode | null
}

export interface Observer {
  readonly observe: (situation: Situation, now: Date, signal: AbortSignal) => Promise<Facts>
  readonly running: (signal: AbortSignal) => Promise<string | null>
  readonly installed: (signal: AbortSignal) => Promise<string | null>
}

export function createObserver({ files, run, failed }: FactsDeps): Observer {
  const known = { stamp: '', installed: null as string | null, process: '', running: null as string | null }

  async function installed(signal: AbortSignal): Promise<string | null> {
    const stamp = await files.stamp(paths.kubelet)
    if (stamp === null) return null
    if (stamp !== known.stamp || known.installed === null) {
      known.installed = await findInstalled(files, run, signal)
      known.stamp = stamp
    }
    return known.installed
  }

  async function running(signal: AbortSignal): Promise<string | null> {
    const pid = await findMainPid(run, 'kubelet', signal)
    if (pid === null) return null
    // Numbers come round again: the file that the process runs belongs to the question.
    const process = `${pid} ${await files.stamp(paths.process(pid))}`
    if (process !== known.process || known.running === null) {
      known.running = await findRunning(files, run, pid, signal)
      known.process = process
    }
    return known.running
  }

  async function look(api: NodeApi | null, signal: AbortSignal): Promise<Look> {
    if (api === null) return { kind: 'unreachable' }
    try {
      const node = await api.find(signal)
      return node === null ? { kind: 'absent' } : { kind: 'found', node }
    } catch (error) {
      signal.throwIfAborted()
      failed(error)
      const refused = error instanceof KubeError && (error.status === 401 || error.status === 403)
      return { kind: refused ? 'refused' : 'unreachable' }
    }
  }

  async function observe(situation: Situation, now: Date, signal: AbortSignal): Promise<Facts> {
    const { progress, identity } = situation
    const traces = await hasTraces(files)
    const configured = traces && (await files.stamp(paths.kubeletConf)) !== null
    const seen: Look = configured ? await look(situation.api, signal) : { kind: 'unreachable' }
    const node = seen.kind === 'found' ? seen.node : null
    const observed: Observed = {
      now,
      identity: stateOf(identity, now),
      kubelet: traces ? stateOfJoin(progress, configured, seen) : 'none',
      linked: await findLinked(files),
      installed: await installed(signal),
      running: traces ? await running(signal) : null,
      staged: await listStaged(files),
      asked: node === null ? undefined : (node.metadata.labels?.[MIRRORED_VERSION] ?? null),
      unlabelled: node !== null && situation.unlabelled(node),
      progress
    }
    return { observed, node }
  }

  return { observe, running, installed }
}

type Look =
  | { kind: 'found'; node: KubeNode }
  | { kind: 'absent' } // a kubelet that starts has yet to register, or the Node was deleted
  | { kind: 'refused' } // not our cluster, or no longer
  | { kind: 'unreachable' }

/** A node that was in is never taken for leftovers: that would empty it. */
function stateOfJoin(progress: Progress, configured: boolean, seen: Look): Observed['kubelet'] {
  const { joined, initialises, open } = progress
  if (joined === 'yes') return seen.kind === 'found' ? 'joined' : 'unknown'
  // Half a control plane is no cluster, however alive it looks: nobody has joined it yet.
  if (joined === 'started' && initialises) return 'leftovers'
  if (!configured || seen.kind === 'refused') return 'leftovers'
  if (seen.kind === 'found') return 'joined'
  return seen.kind === 'absent' && joined === 'started' && (open?.failures ?? 0) > 0 ? 'leftovers' : 'unknown'
}
