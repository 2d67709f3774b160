// Evictions (pkg/registry/core/pod/storage/eviction.go) and the deletion of pods, with the accounting of disruption
// budgets.

import { array, at, isFields } from './fields.ts'
import { type Fields, type Json, type ObjectStore, sameJson, type Stored } from './objects.ts'
import { conflict, forbidden, Refusal } from './refusal.ts'
import { matchSelector } from './selectors.ts'

export interface DeleteOptions {
  readonly gracePeriodSeconds: number | null
  readonly uid: string | null
  readonly dryRun: boolean
}

const graceSecondsDefault = 30
const retrySeconds = 10

export function evict(store: ObjectStore, pod: Stored, options: DeleteOptions, now: Date): void {
  const budgets = guarding(store, pod)
  if (!ignoresBudgets(pod)) spend(store, pod, budgets, options.dryRun, now)
  checkUid(pod, options.uid)
  if (options.dryRun) return
  const target: Fields = { type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI' }
  const conditions = [...array(at(pod, 'status', 'conditions')), target]
  const marked = { ...pod, status: { ...(isFields(pod['status']) ? pod['status'] : {}), conditions } }
  deletePod(store, store.put('pods', marked), { ...options, uid: null }, now)
}

/** A pod on a node ends only when its kubelet says so (a second deletion, with grace 0). Returns its last state. */
export function deletePod(store: ObjectStore, pod: Stored, options: DeleteOptions, now: Date): Stored {
  checkUid(pod, options.uid)
  const phase = at(pod, 'status', 'phase')
  const unbound = at(pod, 'spec', 'nodeName') === undefined || phase === 'Succeeded' || phase === 'Failed'
  const own = at(pod, 'spec', 'terminationGracePeriodSeconds')
  const asked = options.gracePeriodSeconds ?? (typeof own === 'number' ? own : graceSecondsDefault)
  const already = pod.metadata.deletionGracePeriodSeconds
  const grace = unbound ? 0 : Math.min(asked, already ?? asked)
  if (options.dryRun) return pod
  if (grace === 0 && (pod.metadata.finalizers ?? []).length === 0) return store.remove('pods', pod)
  if (already !== undefined && already <= grace) return pod
  const deletionTimestamp = new Date(now.getTime() + grace * 1000).toISOString().replace(/\.\d+Z$/, 'Z')
  return store.put('pods', {
    ...pod,
    metadata: { ...pod.metadata, deletionTimestamp, deletionGracePeriodSeconds: grace }
  })
}

function checkUid(pod: Stored, uid: string | null): void {
  const { name, uid: actual } = pod.metadata
  if (uid === null || uid === actual) return
  throw conflict('Pod', name, `the UID in the precondition (${uid}) does not match the UID in record (${actual})`)
}

function guarding(store: ObjectStore, pod: Stored): Stored[] {
  return store
    .list('poddisruptionbudgets', pod.metadata.namespace ?? '')
    .filter(budget => matchSelector(at(budget, 'spec', 'selector'))(pod))
}

function ignoresBudgets(pod: Stored): boolean {
  const phase = at(pod, 'status', 'phase')
  return phase !== 'Running' || pod.metadata.deletionTimestamp !== undefined
}

function spend(store: ObjectStore, pod: Stored, budgets: readonly Stored[], dryRun: boolean, now: Date): void {
  const [budget] = budgets
  if (budget === undefined) return
  if (budgets.length > 1) {
    const message = 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.'
    throw new Refusal(500, 'InternalError', message)
  }
  const { name, generation = 1 } = budget.metadata
  const number = (key: string) => Number(at(budget, 'status', key) ?? 0)
  const spare = number('currentHealthy') >= number('desiredHealthy') && number('desiredHealthy') > 0
  const always = at(budget, 'spec', 'unhealthyPodEvictionPolicy') === 'AlwaysAllow'
  if (!isReady(pod) && (spare || always)) return
  if (number('observedGeneration') < generation) {
    throw blocked(`The disruption budget ${name} is still being processed by the server.`, retrySeconds)
  }
  if (number('disruptionsAllowed') < 0)
    throw forbidden('pods', pod.metadata.name, 'pdb disruptions allowed is negative')
  if (number('disruptionsAllowed') === 0) {
    const counts = `needs ${number('desiredHealthy')} healthy pods and has ${number('currentHealthy')} currently`
    throw blocked(`The disruption budget ${name} ${counts}`)
  }
  if (dryRun) return
  const disrupted = at(budget, 'status', 'disruptedPods')
  const disruptedPods = { ...(isFields(disrupted) ? disrupted : {}), [pod.metadata.name]: now.toISOString() }
  const disruptionsAllowed = number('disruptionsAllowed') - 1
  putStatus(store, budget, { ...status(budget), disruptionsAllowed, disruptedPods })
}

function blocked(message: string, retryAfterSeconds?: number): Refusal {
  const details: Fields = { causes: [{ reason: 'DisruptionBudget', message }] }
  if (retryAfterSeconds !== undefined) details['retryAfterSeconds'] = retryAfterSeconds
  const text = "Cannot evict pod as it would violate the pod's disruption budget."
  return new Refusal(429, 'TooManyRequests', text, details, retryAfterSeconds)
}

/** How many pods a budget's owner wants: the lab may know of a Deployment's replicas. */
export type ExpectedPods = (budget: Stored, pods: readonly Stored[]) => number

/** The disruption controller: what each budget of a namespace allows now. */
export function countBudgets(store: ObjectStore, expectedPods: ExpectedPods): void {
  for (const budget of store.list('poddisruptionbudgets')) {
    const pods = store
      .list('pods', budget.metadata.namespace ?? '')
      .filter(matchSelector(at(budget, 'spec', 'selector')))
    const disrupted = at(budget, 'status', 'disruptedPods')
    // A pod leaves the list once its deletion is seen.
    const waiting = pods.filter(({ metadata }) => isFields(disrupted) && metadata.name in disrupted)
    const leaving = waiting
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      .map(pod => pod.metadata.name)
    const healthy = pods.filter(
      pod => isReady(pod) && pod.metadata.deletionTimestamp === undefined && !leaving.includes(pod.metadata.name)
    ).length
    const expected = expectedPods(budget, pods)
    const desired = desiredHealthy(budget, expected)
    const next: Fields = {
      disruptionsAllowed: Math.max(0, healthy - desired),
      currentHealthy: healthy,
      desiredHealthy: desired,
      expectedPods: expected,
      observedGeneration: budget.metadata.generation ?? 1
    }
    if (leaving.length > 0 && isFields(disrupted)) {
      next['disruptedPods'] = Object.fromEntries(leaving.map(name => [name, disrupted[name]]))
    }
    putStatus(store, budget, next)
  }
}

function desiredHealthy(budget: Stored, expected: number): number {
  const minimum = at(budget, 'spec', 'minAvailable')
  if (minimum !== undefined) return scaled(minimum, expected)
  return Math.max(0, expected - scaled(at(budget, 'spec', 'maxUnavailable') ?? 0, expected))
}

/** Percentages round up, for both fields (IntOrString). */
function scaled(value: Json, total: number): number {
  return typeof value === 'string' ? Math.ceil((Number.parseInt(value, 10) * total) / 100) : Number(value)
}

function putStatus(store: ObjectStore, budget: Stored, next: Fields): void {
  if (!sameJson(budget['status'], next)) store.put('poddisruptionbudgets', { ...budget, status: next })
}

function status(budget: Stored): Fields {
  return isFields(budget['status']) ? budget['status'] : {}
}

export function isReady(pod: Stored): boolean {
  return array(at(pod, 'status', 'conditions'))
    .filter(isFields)
    .some(({ type, status }) => type === 'Ready' && status === 'True')
}
