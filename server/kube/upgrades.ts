// A node's label slipway.dev/version, answered: what upgrade/intent.ts accepts is mirrored to the label that a node
// cannot forge and that its agent obeys; what it does not accept is said on the node and on the timeline, once.

import type { Role } from '../contract/document.ts'
import type { NewEvent } from '../contract/event.ts'
import type { Machine } from '../contract/machine.ts'
import { annotation, intent, MIRRORED_VERSION } from '../contract/names.ts'
import type { KubeClient } from '../kubeapi/client.ts'
import type { KubeNode, KubeObject } from '../kubeapi/objects.ts'
import { paths } from '../kubeapi/paths.ts'
import { findSlot } from '../store/slots.ts'
import { type Recorder, recordEvent } from '../timeline.ts'
import { decideIntent, type IntentVerdict } from '../upgrade/intent.ts'

export interface UpgradeDeps extends Recorder {
  readonly kube: KubeClient
  /** What the API server says it runs; null before it was asked. */
  readonly apiServer: () => string | null
  /** Told of each Node as our own write left it, before the watch brings it: else we would answer twice. */
  readonly wrote: (node: KubeObject) => void
}

interface Known {
  readonly node: KubeNode
  readonly machine: Machine | null
  readonly role: Role
}

/** Annotations and labels are cut there; a reason is a sentence. */
const answerCharactersMax = 400

/**
 * Compares what the node was asked for with what was answered, and writes the difference. Repeated, it does nothing.
 */
export async function followIntent(deps: UpgradeDeps, known: Known, all: readonly Known[]): Promise<void> {
  const { labels = {}, annotations = {} } = known.node.metadata
  const asked = labels[intent.version]
  const mirrored = labels[MIRRORED_VERSION]
  const said = annotations[annotation.answer]
  if (asked === undefined) return withdraw(deps, known)
  if (asked === mirrored) return said === undefined ? undefined : write(deps, known, {}, null)
  const verdict = await judge(deps, known, asked, all)
  if (verdict.verdict === 'accept') return mirror(deps, known, asked)
  const state = verdict.verdict === 'wait' ? 'waiting' : 'refused'
  const answer = `${state} ${asked}: ${verdict.reason}`.slice(0, answerCharactersMax)
  if (answer === said) return
  await write(deps, known, {}, answer)
  if (said?.split(' ')[1] !== `${asked}:`) await tell(deps, known, askedEvent(known, asked))
  if (state === 'refused') {
    await tell(deps, known, {
      type: 'upgrade.refused',
      level: 'warning',
      message: `refused ${asked.slice(0, 63)} for its node: ${verdict.reason}`,
      detail: { target: asked, reason: verdict.reason }
    })
  }
}

async function judge(
  { db, apiServer }: UpgradeDeps,
  { node, machine, role }: Known,
  target: string,
  all: readonly Known[]
): Promise<IntentVerdict> {
  if (machine === null) return { verdict: 'refuse', reason: 'no machine of ours became this node: it has no agent' }
  const slot = await findSlot(db, machine.id)
  if (slot !== null) return { verdict: 'wait', reason: `its upgrade to ${slot.target} is under way` }
  const version = apiServer()
  if (version === null) return { verdict: 'wait', reason: 'the API server has not said its version' }
  const askedOfControlPlane = all
    .filter(other => other.role === 'control-plane' && other.machine !== null)
    .flatMap(other => other.node.metadata.labels?.[intent.version] ?? [])
  const running = node.status?.nodeInfo?.kubeletVersion ?? null
  return decideIntent({ target, role, running, apiServer: version, askedOfControlPlane })
}

async function mirror(deps: UpgradeDeps, known: Known, version: string): Promise<void> {
  const said = known.node.metadata.annotations?.[annotation.answer]
  await write(deps, known, { [MIRRORED_VERSION]: version }, null)
  if (said?.split(' ')[1] !== `${version}:`) await tell(deps, known, askedEvent(known, version))
  await tell(deps, known, {
    type: 'upgrade.mirrored',
    message: `accepted ${version} for its node; its agent may begin when it has the slot`,
    detail: { target: version }
  })
}

/** The intent was taken back: nothing is begun any more; what has begun ends. */
async function withdraw(deps: UpgradeDeps, known: Known): Promise<void> {
  const { labels = {}, annotations = {} } = known.node.metadata
  const mirrored = labels[MIRRORED_VERSION]
  if (mirrored === undefined && annotations[annotation.answer] === undefined) return
  const running = known.node.status?.nodeInfo?.kubeletVersion
  const begun = known.machine !== null && (await findSlot(deps.db, known.machine.id)) !== null
  if (begun) return
  const gone = mirrored === undefined || mirrored === running ? {} : { [MIRRORED_VERSION]: null }
  if (Object.keys(gone).length === 0 && annotations[annotation.answer] === undefined) return
  await write(deps, known, gone, null)
}

async function write(
  { kube, wrote }: UpgradeDeps,
  { node }: Known,
  labels: Record<string, string | null>,
  answer: string | null
): Promise<void> {
  const annotations = { [annotation.answer]: answer }
  wrote(await kube.patch(paths.node(node.metadata.name), { metadata: { labels, annotations } }, 'merge'))
}

function askedEvent({ node }: Known, target: string): NewEvent {
  return {
    type: 'upgrade.asked',
    message: `its node ${node.metadata.name} was labelled ${intent.version}=${target}`,
    detail: { node: node.metadata.name, target }
  }
}

async function tell(deps: UpgradeDeps, { machine }: Known, event: NewEvent): Promise<void> {
  await recordEvent(deps, { machine: machine?.id ?? null, ...event })
}

/** What upgrade/slot.ts needs to know of the cluster for one node. */
export interface UpgradeFacts {
  /** The mirrored label; null when nothing was accepted. */
  readonly accepted: string | null
  readonly apiServer: string | null
  /** Control plane nodes that have yet to reach a version they were asked for. */
  readonly controlPlanePending: readonly string[]
}

export function upgradeFacts(name: string, apiServer: string | null, all: readonly Known[]): UpgradeFacts {
  const mirrored = ({ node }: Known) => node.metadata.labels?.[MIRRORED_VERSION]
  const own = all.find(({ node }) => node.metadata.name === name)
  const pending = all.filter(known => {
    const wanted = mirrored(known)
    const { metadata, status } = known.node
    const other = known.role === 'control-plane' && known.machine !== null && metadata.name !== name
    return other && wanted !== undefined && wanted !== status?.nodeInfo?.kubeletVersion
  })
  return {
    accepted: (own === undefined ? undefined : mirrored(own)) ?? null,
    apiServer,
    controlPlanePending: pending.map(({ node }) => node.metadata.name)
  }
}
