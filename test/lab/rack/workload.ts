// What a Deployment, its controller and the scheduler do in a real cluster, for one application: as many pods as wanted,
// on Ready and schedulable workers, spread. Kubelets bring them up and down (kubelet.ts), the budget is the API server's.

import type { ObjectStore, Stored } from '../apiserver/objects.ts'

/** A real Deployment replaces a pod within a second or two. */
const ROUND_MS = 300

type Spec = { nodeName?: string; unschedulable?: boolean; taints?: { effect: string }[] } | undefined

/** Keeps the pods; the returned function stops it. */
export function startWorkload(store: ObjectStore, replicas: number, failed: (error: unknown) => void): () => void {
  store.put('poddisruptionbudgets', {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name: 'web', namespace: 'default', generation: 1 },
    spec: { minAvailable: replicas - 1, selector: { matchLabels: { app: 'web' } } },
    status: { disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: replicas - 1, expectedPods: replicas }
  })
  let made = 0
  const timer = setInterval(() => {
    try {
      const pods = store.list('pods', 'default').filter(({ metadata }) => metadata.labels?.['app'] === 'web')
      const staying = pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      if (staying.length >= replicas) return
      const node = leastUsed(store, staying)
      if (node === null) return
      made += 1
      store.put('pods', podOn(node, `web-5f7c-${made.toString(36).padStart(5, '0')}`))
    } catch (error) {
      failed(error)
    }
  }, ROUND_MS)
  return () => clearInterval(timer)
}

function leastUsed(store: ObjectStore, pods: readonly Stored[]): string | null {
  const used = (name: string): number => pods.filter(({ spec }) => (spec as Spec)?.nodeName === name).length
  const names = store
    .list('nodes')
    .filter(isOpen)
    .map(({ metadata }) => metadata.name)
  return names.toSorted((a, b) => used(a) - used(b))[0] ?? null
}

function isOpen({ spec, status }: Stored): boolean {
  const { unschedulable = false, taints = [] } = (spec as Spec) ?? {}
  const { conditions = [] } = (status ?? {}) as { conditions?: { type: string; status: string }[] }
  const ready = conditions.some(condition => condition.type === 'Ready' && condition.status === 'True')
  return ready && !unschedulable && taints.every(({ effect }) => effect === 'PreferNoSchedule')
}

function podOn(nodeName: string, name: string): Stored {
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-5f7c', uid: 'lab-web', controller: true }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels: { app: 'web' }, ownerReferences: [owner] },
    spec: {
      nodeName,
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'web', image: 'registry.example/web:1' }]
    },
    status: { phase: 'Pending' }
  }
}
