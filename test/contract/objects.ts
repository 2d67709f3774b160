// Contract rows about any object: writing, conflicts, patches, lists.

import type { Test } from 'tap'
import type { KubeClient } from '../../server/kubeapi/client.ts'
import type { KubeList, KubeNode, KubeObject } from '../../server/kubeapi/objects.ts'
import { paths } from '../../server/kubeapi/paths.ts'
import { list } from '../../server/kubeapi/watch.ts'
import { refusal, statusOf, type Target } from './targets.ts'

export interface Row {
  readonly name: string
  readonly run: (t: Test, target: Target) => Promise<void>
}

interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>
}

export const maps = paths.configMaps('default')
export const map = (name: string) => paths.configMap('default', name)

export async function put(
  client: KubeClient,
  name: string,
  data: object = {},
  labels: object = {}
): Promise<ConfigMap> {
  return client.create(maps, { metadata: { name, labels }, data })
}

export const objectRows: readonly Row[] = [
  {
    name: 'says which version runs, and that it is ready',
    async run(t, { admin, version }) {
      t.equal((await admin.get<{ gitVersion: string }>(paths.version)).gitVersion, version)
      t.equal(await admin.get(paths.readyz), 'ok')
    }
  },
  {
    name: 'creates, reads, replaces and deletes',
    async run(t, { admin }) {
      const made = await put(admin, 'life', { a: '1' })
      t.match(made.metadata, { name: 'life', namespace: 'default', uid: /./, resourceVersion: /^\d+$/ })
      const changed = await admin.replace<ConfigMap>(map('life'), { ...made, data: { a: '2' } })
      t.not(changed.metadata.resourceVersion, made.metadata.resourceVersion)
      t.strictSame((await admin.get<ConfigMap>(map('life'))).data, { a: '2' })
      await admin.delete(map('life'))
      t.match(await refusal(admin.get(map('life'))), { status: 404, reason: 'NotFound' })
      t.match(await refusal(admin.delete(map('life'))), { status: 404, reason: 'NotFound' })
    }
  },
  {
    name: 'refuses what exists, what is stale, what is misspelt, and a namespace that is not there',
    async run(t, { admin }) {
      const first = await put(admin, 'once')
      t.match(await refusal(put(admin, 'once')), { status: 409, reason: 'AlreadyExists' })
      await admin.replace(map('once'), { ...first, data: { b: '1' } })
      t.match(await refusal(admin.replace(map('once'), { ...first, data: { c: '1' } })), {
        status: 409,
        reason: 'Conflict'
      })
      const stale = { metadata: { resourceVersion: first.metadata.resourceVersion }, data: { d: '1' } }
      t.match(await refusal(admin.patch(map('once'), stale, 'merge')), { status: 409, reason: 'Conflict' })
      const mislabelled = { metadata: { labels: { 'slipway.dev/x': 'not a value' } } }
      t.match(await refusal(admin.patch(map('once'), mislabelled, 'merge')), { status: 422, reason: 'Invalid' })
      t.match(await refusal(put(admin, 'Not_A_Name')), { status: 422, reason: 'Invalid' })
      t.match(await refusal(admin.create(paths.configMaps('nowhere'), { metadata: { name: 'x' } })), { status: 404 })
      t.match(await refusal(admin.get('/apis/nothing.example/v1/things')), { status: 404 })
    }
  },
  {
    name: 'merge patch: null removes, others stay; unchanged content keeps its version',
    async run(t, { admin }) {
      await put(admin, 'merged', { keep: '1', drop: '1' })
      const patched = await admin.patch<ConfigMap>(map('merged'), { data: { drop: null, add: '1' } }, 'merge')
      t.strictSame(patched.data, { keep: '1', add: '1' })
      const again = await admin.patch<ConfigMap>(map('merged'), { data: { add: '1' } }, 'merge')
      t.equal(again.metadata.resourceVersion, patched.metadata.resourceVersion)
    }
  },
  {
    name: 'JSON patch: test guards, a failed test changes nothing',
    async run(t, { admin }) {
      await put(admin, 'json', { a: '1' })
      const guarded = (value: string) => [
        { op: 'test', path: '/data/a', value },
        { op: 'replace', path: '/data/a', value: '2' }
      ]
      t.match(await refusal(admin.patch(map('json'), guarded('9'), 'json')), { status: 422 })
      t.strictSame((await admin.patch<ConfigMap>(map('json'), guarded('1'), 'json')).data, { a: '2' })
      const removed = await admin.patch<ConfigMap>(map('json'), [{ op: 'remove', path: '/data/a' }], 'json')
      t.strictSame(removed.data ?? {}, {})
    }
  },
  {
    name: 'strategic merge: conditions merge by type, taints are replaced',
    async run(t, { admin }) {
      await admin.create(paths.nodes, { metadata: { name: 'strategic' } })
      const condition = (type: string, status: string) => ({ status: { conditions: [{ type, status }] } })
      await admin.patch(paths.nodeStatus('strategic'), condition('One', 'True'), 'strategic')
      await admin.patch(paths.nodeStatus('strategic'), condition('Two', 'True'), 'strategic')
      await admin.patch(paths.nodeStatus('strategic'), condition('One', 'False'), 'strategic')
      const ours = async () => {
        const { status } = await admin.get<KubeNode>(paths.node('strategic'))
        const conditions = (status?.conditions ?? []).filter(({ type }) => type === 'One' || type === 'Two')
        return conditions.map(({ type, status: value }) => `${type}=${value}`).sort()
      }
      t.strictSame(await ours(), ['One=False', 'Two=True'])
      const gone = { status: { conditions: [{ type: 'One', $patch: 'delete' }] } }
      await admin.patch(paths.nodeStatus('strategic'), gone, 'strategic')
      t.strictSame(await ours(), ['Two=True'])
      const taint = (key: string) => ({ spec: { taints: [{ key, effect: 'NoSchedule' }] } })
      await admin.patch(paths.node('strategic'), taint('first'), 'strategic')
      const tainted = await admin.patch<KubeNode>(paths.node('strategic'), taint('second'), 'strategic')
      t.notOk(tainted.spec?.taints?.some(({ key }) => key === 'first'))
    }
  },
  {
    name: 'status and the rest are written apart',
    async run(t, { admin }) {
      await admin.create(paths.nodes, { metadata: { name: 'apart' } })
      const both = { spec: { unschedulable: true }, status: { conditions: [{ type: 'Apart', status: 'True' }] } }
      const main = await admin.patch<KubeNode>(paths.node('apart'), both, 'strategic')
      t.equal(main.spec?.unschedulable, true)
      t.notOk(main.status?.conditions?.some(({ type }) => type === 'Apart'))
      const uncordon = { ...both, spec: { unschedulable: null } }
      const status = await admin.patch<KubeNode>(paths.nodeStatus('apart'), uncordon, 'strategic')
      t.equal(status.spec?.unschedulable, true)
      t.ok(status.status?.conditions?.some(({ type }) => type === 'Apart'))
    }
  },
  {
    name: 'dryRun=All answers as if, and changes nothing',
    async run(t, { admin }) {
      const query = { dryRun: 'All' }
      t.equal((await admin.create<ConfigMap>(maps, { metadata: { name: 'dry' } }, { query })).metadata.name, 'dry')
      t.equal(await statusOf(admin.get(map('dry'))), 404)
      const made = await put(admin, 'wet')
      await admin.patch(map('wet'), { data: { a: '1' } }, 'merge', { query })
      await admin.delete(map('wet'), { query })
      t.equal((await admin.get<ConfigMap>(map('wet'))).metadata.resourceVersion, made.metadata.resourceVersion)
    }
  },
  {
    name: 'Secrets: stringData is stored as base64 data',
    async run(t, { admin }) {
      const secret = { metadata: { name: 'text' }, stringData: { a: 'é' } }
      const made = await admin.create<{ data: object; type: string; stringData?: object }>(
        paths.secrets('default'),
        secret
      )
      t.strictSame([made.data, made.type, made.stringData], [{ a: 'w6k=' }, 'Opaque', undefined])
    }
  },
  {
    name: 'lists in pages and by selectors',
    async run(t, { admin }) {
      for (const n of [1, 2, 3, 4, 5]) await put(admin, `page-${n}`, {}, { page: n < 4 ? 'low' : 'high', pages: 'yes' })
      const names = async (query: Record<string, string | number>) => {
        const { items } = await admin.get<KubeList>(maps, { query })
        return items.map(({ metadata }) => metadata.name)
      }
      const query = { labelSelector: 'pages', limit: 2 }
      const first = await admin.get<KubeList>(maps, { query })
      t.equal(first.items.length, 2)
      t.strictSame(await names({ ...query, continue: first.metadata.continue ?? '' }), ['page-3', 'page-4'])
      t.strictSame(await names({ labelSelector: 'page=high' }), ['page-4', 'page-5'])
      t.strictSame(await names({ labelSelector: 'page in (high),page!=low' }), ['page-4', 'page-5'])
      t.strictSame(await names({ labelSelector: 'pages,page notin (low)' }), ['page-4', 'page-5'])
      t.strictSame(await names({ fieldSelector: 'metadata.name=page-2' }), ['page-2'])
      t.equal(await statusOf(names({ fieldSelector: 'data.a=1' })), 400)
      t.equal((await list(admin, maps, { labelSelector: 'pages' })).items.length, 5)
    }
  }
]
