// Contract rows about what a kubelet's credential may do: its Node, its Lease, Events. The intent labels are in
// policy.ts.

import type { KubeNode, ObjectMeta } from '../../server/kubeapi/objects.ts'
import { paths } from '../../server/kubeapi/paths.ts'
import type { Row } from './objects.ts'
import { refusal, statusOf } from './targets.ts'

const own = paths.node('n1')
const selectOwn = { query: { fieldSelector: 'metadata.name=n1' } }

export const nodeRows: readonly Row[] = [
  {
    name: 'a kubelet reads its own Node, and no other',
    async run(t, target) {
      const kubelet = await target.kubelet('n1')
      await target.kubelet('n2')
      t.equal((await kubelet.get<KubeNode>(own)).metadata.name, 'n1')
      const { status, reason, message } = await refusal(kubelet.get(paths.node('n2')))
      t.match({ status, reason, message }, { status: 403, reason: 'Forbidden', message: /node 'n1' cannot read 'n2'/ })
      t.equal(await statusOf(kubelet.get(paths.nodes)), 403)
      t.equal(await statusOf(kubelet.get(paths.nodes, selectOwn)), 0)
      t.equal(await statusOf(kubelet.get(paths.nodes, { query: { fieldSelector: 'metadata.name=n2' } })), 403)
      t.equal(await statusOf(kubelet.get(paths.nodes, { query: { fieldSelector: 'metadata.name!=n2' } })), 403)
      const stream = await kubelet.stream(paths.nodes, {
        query: { watch: 1, timeoutSeconds: 1, ...selectOwn.query },
        signal: new AbortController().signal
      })
      t.equal(stream.statusCode, 200)
      stream.destroy()
    }
  },
  {
    name: 'a kubelet writes to its own Node only, and deletes none',
    async run(t, target) {
      const kubelet = await target.kubelet('n1')
      await target.kubelet('n2')
      const note = { metadata: { annotations: { 'slipway.dev/x': '1' } } }
      t.equal(await statusOf(kubelet.patch(own, note, 'merge')), 0)
      t.match(await refusal(kubelet.patch(paths.node('n2'), note, 'merge')), {
        status: 403,
        message: /node "n1" is not allowed to modify node "n2"/
      })
      t.equal(await statusOf(kubelet.patch(paths.nodeStatus('n2'), { status: {} }, 'merge')), 403)
      t.equal(await statusOf(kubelet.create(paths.nodes, { metadata: { name: 'stranger' } })), 403)
      t.equal(await statusOf(kubelet.delete(own)), 403)
      t.equal(await statusOf(kubelet.delete(paths.node('n2'))), 403)
    }
  },
  {
    name: 'a kubelet cordons itself, sets conditions and finalizers, but no taints or owners',
    async run(t, target) {
      const kubelet = await target.kubelet('n1')
      const cordoned = await kubelet.patch<KubeNode>(own, { spec: { unschedulable: true } }, 'merge')
      t.equal(cordoned.spec?.unschedulable, true)
      await kubelet.patch(own, { spec: { unschedulable: null } }, 'merge')
      const condition = { status: { conditions: [{ type: 'DrainInProgress', status: 'True' }] } }
      const { status } = await kubelet.patch<KubeNode>(paths.nodeStatus('n1'), condition, 'strategic')
      t.ok(status?.conditions?.some(({ type }) => type === 'DrainInProgress'))
      const taints = { spec: { taints: [{ key: 'slipway.dev/x', effect: 'NoSchedule' }] } }
      t.match(await refusal(kubelet.patch(own, taints, 'merge')), {
        status: 403,
        message: /not allowed to modify taints/
      })
      t.equal(await statusOf(kubelet.patch(paths.nodeStatus('n1'), taints, 'merge')), 403)
      const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: '00000000-0000-0000-0000-000000000000' }
      const owned = { metadata: { ownerReferences: [owner] } }
      t.equal(await statusOf(kubelet.patch(own, owned, 'merge')), 403)
      const stale = { metadata: { resourceVersion: '1', annotations: { 'slipway.dev/y': '1' } } }
      t.equal(await statusOf(kubelet.patch(own, stale, 'merge')), 409)
    }
  },
  ...(
    [
      ['slipway.dev/anything', 0],
      ['plain', 0],
      ['feature.node.kubernetes.io/cpu-model.id', 0],
      ['node.kubernetes.io/exclude-from-external-load-balancers', 0],
      ['slipway.kubelet.kubernetes.io/x', 0],
      ['topology.kubernetes.io/zone', 0],
      ['topology.kubernetes.io/rack', 403],
      ['kubernetes.io/x', 403],
      ['sub.k8s.io/x', 403],
      ['node-role.kubernetes.io/worker', 403],
      ['node-restriction.kubernetes.io/x', 403],
      ['slipway.node-restriction.kubernetes.io/version', 403]
    ] as const
  ).map(([key, want]): Row => ({
    name: `a kubelet that labels its Node ${key} gets ${want === 0 ? 'its way' : want}`,
    async run(t, target) {
      const kubelet = await target.kubelet('n1')
      const label = (value: string | null) => ({ metadata: { labels: { [key]: value } } })
      t.equal(await statusOf(kubelet.patch(own, label('1'), 'merge')), want)
      await target.admin.patch(own, label('2'), 'merge')
      t.equal(await statusOf(kubelet.patch(own, label(null), 'merge')), want)
      // What an administrator set is no obstacle to other changes.
      t.equal(await statusOf(kubelet.patch(own, { metadata: { annotations: { a: key } } }, 'merge')), 0)
    }
  })),
  {
    name: 'a kubelet holds its own Lease, and no other',
    async run(t, target) {
      const kubelet = await target.kubelet('n1')
      const leases = paths.leases('kube-node-lease')
      const spec = { holderIdentity: 'n1', leaseDurationSeconds: 40, renewTime: '2026-01-02T12:00:00.000000Z' }
      const made = await kubelet.create<{ metadata: ObjectMeta }>(leases, { metadata: { name: 'n1' }, spec })
      t.equal(await statusOf(kubelet.replace(paths.lease('kube-node-lease', 'n1'), { ...made, spec })), 0)
      t.equal(await statusOf(kubelet.patch(paths.lease('kube-node-lease', 'n1'), { spec }, 'merge')), 0)
      const { resourceVersion: _, ...metadata } = made.metadata
      t.equal(await statusOf(kubelet.replace(paths.lease('kube-node-lease', 'n1'), { ...made, metadata, spec })), 422)
      t.equal(await statusOf(kubelet.get(paths.lease('kube-node-lease', 'n2'))), 403)
      t.equal(await statusOf(kubelet.get(leases)), 403)
      t.equal(await statusOf(kubelet.create(leases, { metadata: { name: 'slipway-lock' }, spec })), 403)
      t.equal(await statusOf(kubelet.create(paths.leases('default'), { metadata: { name: 'n1' }, spec })), 403)
    }
  },
  {
    name: 'a kubelet writes Events, but reads no Secrets, ConfigMaps, budgets or workloads',
    async run(t, target) {
      const kubelet = await target.kubelet('n1')
      const event = {
        metadata: { generateName: 'n1.' },
        involvedObject: { kind: 'Node', name: 'n1' },
        reason: 'Test',
        message: 'x',
        type: 'Normal'
      }
      t.equal(await statusOf(kubelet.create(paths.events('default'), event)), 0)
      for (const path of [
        paths.events('default'),
        paths.secrets('kube-system'),
        paths.configMaps('kube-system'),
        paths.configMap('default', 'kube-root-ca.crt'),
        paths.budgets('default'),
        '/apis/apps/v1/daemonsets',
        '/apis/rbac.authorization.k8s.io/v1/clusterroles'
      ]) {
        t.equal(await statusOf(kubelet.get(path)), 403, path)
      }
    }
  },
  {
    name: 'without a credential: ready and version, nothing else',
    async run(t, target) {
      const nobody = target.bearer(null)
      t.equal(await nobody.get(paths.readyz), 'ok')
      t.equal(await statusOf(nobody.get(paths.version)), 0)
      t.equal(await statusOf(nobody.get(paths.nodes)), 403)
      t.match(await refusal(target.bearer('abcdef.0123456789abcdef').get(paths.nodes)), { status: 401 })
    }
  }
]
