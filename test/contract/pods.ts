// Contract rows about pods on a node: who sees and removes them, eviction and the accounting of disruption budgets.

import type { KubeClient } from '../../server/kubeapi/client.ts'
import type { KubeObject, KubePod } from '../../server/kubeapi/objects.ts'
import { paths } from '../../server/kubeapi/paths.ts'
import type { Row } from './objects.ts'
import { eventually, refusal, statusOf } from './targets.ts'

const pods = paths.pods('default')
const pod = (name: string) => paths.pod('default', name)

async function put(admin: KubeClient, name: string, nodeName: string, labels: object = {}): Promise<KubePod> {
  return admin.create(pods, {
    metadata: { name, labels },
    spec: { nodeName, containers: [{ name: 'c', image: 'registry.invalid/none' }] }
  })
}

/** There is no kubelet: the test says what it would say. */
async function run(admin: KubeClient, name: string, nodeName: string, labels: object = {}): Promise<KubePod> {
  await put(admin, name, nodeName, labels)
  const status = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] }
  return admin.patch(paths.podStatus('default', name), { status }, 'strategic')
}

async function evict(client: KubeClient, name: string, deleteOptions: object = {}): Promise<unknown> {
  const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace: 'default' }, deleteOptions }
  return client.create(paths.eviction('default', name), body)
}

/** The admission plugin hears of a new pod a moment later; until then it is 404 to a kubelet. */
async function known(client: KubeClient, name: string): Promise<void> {
  const dry = async () => statusOf(evict(client, name, { dryRun: ['All'] }))
  await eventually(async () => ((await dry()) === 404 ? null : true))
}

interface Budget extends KubeObject {
  readonly status?: {
    readonly disruptionsAllowed: number
    readonly currentHealthy: number
    readonly desiredHealthy: number
    readonly observedGeneration?: number
  }
}

async function budget(admin: KubeClient, name: string, spec: object): Promise<void> {
  await admin.create(paths.budgets('default'), { metadata: { name }, spec })
}

async function allows(admin: KubeClient, name: string, disruptions: number, healthy: number): Promise<void> {
  await eventually(async () => {
    const { status, metadata } = await admin.get<Budget>(paths.budget('default', name))
    const seen = status?.observedGeneration === metadata.generation
    return seen && status?.disruptionsAllowed === disruptions && status.currentHealthy === healthy ? true : null
  })
}

export const podRows: readonly Row[] = [
  {
    name: 'a kubelet lists its own pods, and only by that selector',
    async run(t, target) {
      const kubelet = await target.kubelet('n1')
      await put(target.admin, 'mine', 'n1')
      const listed = async (fieldSelector?: string) =>
        kubelet.get<{ items: KubePod[] }>(paths.allPods, { query: { fieldSelector } })
      const { items } = await listed('spec.nodeName=n1')
      t.ok(items.some(({ metadata }) => metadata.name === 'mine'))
      t.ok(items.every(({ spec }) => spec?.nodeName === 'n1'))
      t.equal(await statusOf(listed()), 403)
      t.equal(await statusOf(listed('spec.nodeName=n2')), 403)
      t.equal(await statusOf(listed('spec.nodeName!=n1')), 403)
      t.equal(await statusOf(listed('spec.nodeName=n1,status.phase=Running')), 0)
    }
  },
  {
    name: 'a kubelet reads, deletes and evicts its own pods; what is gone is 403 to read and 404 to remove',
    async run(t, target) {
      const kubelet = await target.kubelet('n1')
      await target.kubelet('n2')
      await put(target.admin, 'here', 'n1')
      await put(target.admin, 'there', 'n2')
      await known(kubelet, 'there')
      // The authorizer's graph hears of the pod a moment later.
      await eventually(async () => ((await statusOf(kubelet.get(pod('here')))) === 0 ? true : null))
      t.equal(await statusOf(kubelet.get(pod('there'))), 403)
      t.equal(await statusOf(kubelet.delete(pod('there'))), 403)
      t.match(await refusal(evict(kubelet, 'there')), { status: 403, message: /can only evict pods/ })
      t.equal(await statusOf(kubelet.patch(pod('here'), { metadata: { labels: { a: '1' } } }, 'merge')), 403)
      t.equal(
        await statusOf(
          kubelet.create(pods, {
            metadata: { name: 'made' },
            spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }] }
          })
        ),
        403
      )
      t.equal(await statusOf(kubelet.delete(pod('here'), { body: { gracePeriodSeconds: 0 } })), 0)
      await eventually(async () => ((await statusOf(kubelet.get(pod('here')))) === 403 ? true : null))
      t.equal(await statusOf(kubelet.delete(pod('here'))), 404)
      t.equal(await statusOf(evict(kubelet, 'here')), 404)
    }
  },
  {
    name: 'a deleted pod on a node stays until its kubelet says it is gone',
    async run(t, target) {
      const kubelet = await target.kubelet('n1')
      await run(target.admin, 'slow', 'n1')
      await known(kubelet, 'slow')
      await evict(kubelet, 'slow')
      const leaving = await target.admin.get<KubePod>(pod('slow'))
      t.type(leaving.metadata.deletionTimestamp, 'string')
      t.equal(leaving.metadata.deletionGracePeriodSeconds, 30)
      t.ok(leaving.status?.conditions?.some(({ type }) => type === 'DisruptionTarget'))
      await kubelet.delete(pod('slow'), {
        body: { gracePeriodSeconds: 0, preconditions: { uid: leaving.metadata.uid } }
      })
      t.equal(await statusOf(target.admin.get(pod('slow'))), 404)
    }
  },
  {
    name: 'an eviction names the pod that it means by uid, and may be tried without effect',
    async run(t, target) {
      const kubelet = await target.kubelet('n1')
      const made = await run(target.admin, 'meant', 'n1')
      await known(kubelet, 'meant')
      const other = { preconditions: { uid: '00000000-0000-0000-0000-000000000000' } }
      t.match(await refusal(evict(kubelet, 'meant', other)), { status: 409, reason: 'Conflict' })
      t.equal(await statusOf(evict(kubelet, 'meant', { dryRun: ['All'] })), 0)
      t.equal((await target.admin.get<KubePod>(pod('meant'))).metadata.deletionTimestamp, undefined)
      t.equal(await statusOf(evict(kubelet, 'meant', { preconditions: { uid: made.metadata.uid } })), 0)
    }
  },
  {
    name: 'a budget lets one go, then says why not; a pod that is not ready goes all the same',
    async run(t, target) {
      const { admin } = target
      const kubelet = await target.kubelet('n1')
      await budget(admin, 'web', { minAvailable: 2, selector: { matchLabels: { app: 'web' } } })
      for (const name of ['web-1', 'web-2', 'web-3']) await run(admin, name, 'n1', { app: 'web' })
      await allows(admin, 'web', 1, 3)
      for (const name of ['web-1', 'web-2', 'web-3']) await known(kubelet, name)
      t.equal(await statusOf(evict(kubelet, 'web-1')), 0)
      await allows(admin, 'web', 0, 2)
      const refused = await refusal(evict(kubelet, 'web-2'))
      t.match(refused, {
        status: 429,
        reason: 'TooManyRequests',
        message: "Cannot evict pod as it would violate the pod's disruption budget.",
        causes: [
          {
            reason: 'DisruptionBudget',
            message: 'The disruption budget web needs 2 healthy pods and has 2 currently'
          }
        ]
      })
      t.equal(refused.retryAfterSeconds, null)
      t.equal(await statusOf(evict(kubelet, 'web-2', { dryRun: ['All'] })), 429)
      await put(admin, 'web-4', 'n1', { app: 'web' })
      await known(kubelet, 'web-4')
      t.equal(await statusOf(evict(kubelet, 'web-4')), 0, 'pending pods are no part of the budget')
      await run(admin, 'web-5', 'n1', { app: 'web' })
      await allows(admin, 'web', 1, 3)
      t.equal(await statusOf(evict(kubelet, 'web-2')), 0)
    }
  },
  {
    name: 'a pod under two budgets is refused with 500',
    async run(t, target) {
      const { admin } = target
      const kubelet = await target.kubelet('n1')
      for (const name of ['twice-a', 'twice-b']) {
        await budget(admin, name, { minAvailable: 0, selector: { matchLabels: { app: 'twice' } } })
      }
      await run(admin, 'twice', 'n1', { app: 'twice' })
      await known(kubelet, 'twice')
      t.match(await refusal(evict(kubelet, 'twice')), { status: 500, message: /more than one PodDisruptionBudget/ })
    }
  }
]
