// Emptying our own node: which pods must go, and one round of asking them to. Budgets are respected and never forced;
// who waits for what is said in a sentence. Not here: DaemonSet and static pods (a complete drain is the server's to
// order).

import { type KubeCause, KubeError } from '../../server/kubeapi/errors.ts'
import type { KubePod } from '../../server/kubeapi/objects.ts'
import type { NodeApi } from './node.ts'

/** At once: the API server and the budgets' controller keep up, and a refusal shows early. */
const evictionsMax = 10

const mirrorAnnotation = 'kubernetes.io/config.mirror'

/** Pods that must leave before the node's software changes; those already leaving included. */
export function podsToGo(pods: readonly KubePod[]): readonly KubePod[] {
  return pods.filter(pod => !isMirror(pod) && !isFinished(pod) && !isDaemon(pod))
}

function isMirror({ metadata }: KubePod): boolean {
  return metadata.annotations?.[mirrorAnnotation] !== undefined
}

function isFinished({ status }: KubePod): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed'
}

/** By the kind of its controller, whoever's DaemonSet it is: evicting it would only have it made again here. */
function isDaemon({ metadata }: KubePod): boolean {
  return (
    metadata.ownerReferences?.some(({ controller, kind }) => controller === true && kind.endsWith('DaemonSet')) ?? false
  )
}

export interface DrainRound {
  /** Sentences, one a pod that could not be evicted now. */
  readonly blockers: readonly string[]
  /** The server's own idea of when to ask again; null without one. */
  readonly retryAfterSeconds: number | null
}

/** Asks for the eviction of each pod that is not leaving yet. Gone, replaced or refused for now are all answers. */
export async function evictAll(api: NodeApi, pods: readonly KubePod[], signal: AbortSignal): Promise<DrainRound> {
  const staying = pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  const found: Refusal[] = []
  for (let at = 0; at < staying.length; at += evictionsMax) {
    const refusals = await Promise.all(staying.slice(at, at + evictionsMax).map(async pod => evict(api, pod, signal)))
    found.push(...refusals.filter(refusal => refusal !== null))
  }
  return {
    blockers: found.map(({ sentence }) => sentence).sort(),
    retryAfterSeconds: found.reduce<number | null>((most, { retryAfterSeconds: one }) => later(most, one), null)
  }
}

interface Refusal {
  readonly sentence: string
  readonly retryAfterSeconds: number | null
}

async function evict(api: NodeApi, pod: KubePod, signal: AbortSignal): Promise<Refusal | null> {
  try {
    await api.evict(pod, signal)
    return null
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    // Gone, or another pod has its name now: the next list tells.
    if (error.status === 404 || error.status === 409) return null
    const { namespace = '', name } = pod.metadata
    return { sentence: `${namespace}/${name} ${explain(error)}`, retryAfterSeconds: error.retryAfterSeconds }
  }
}

/**
 * Why not, in words for the one who owns the pod. The API server names the budget, which a node itself may not read.
 */
export function explain({ status, message, causes }: KubeError): string {
  const budget = causes.find(({ reason }: KubeCause) => reason === 'DisruptionBudget')
  if (budget !== undefined) return `is kept by its budget: ${budget.message}`
  if (status === 429) return 'waits: the API server is busy'
  if (/more than one PodDisruptionBudget/.test(message)) return 'matches more than one PodDisruptionBudget: remove one'
  if (causes.some(({ reason }) => reason === 'NamespaceTerminating')) return 'waits for its namespace to end'
  return `cannot be evicted (${status}): ${message.slice(0, 200)}`
}

function later(a: number | null, b: number | null): number | null {
  if (a === null || b === null) return a ?? b
  return Math.max(a, b)
}
