// What a cluster made by kubeadm holds from its first moment, as far as Slipway looks: namespaces, built-in roles,
// the two ConfigMaps that kubeadm reads. The stock token group and its automatic approval are left out, as Slipway's
// own clusters do.

import type { Fields, ObjectStore, Stored } from './objects.ts'

const rbacVersion = 'rbac.authorization.k8s.io/v1'
const certificates = 'certificates.k8s.io'

export function seed(store: ObjectStore, endpoint: string, version: string): void {
  for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease']) {
    store.put('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name }, status: { phase: 'Active' } })
  }
  store.put('clusterroles', role('cluster-admin', { apiGroups: ['*'], resources: ['*'], verbs: ['*'] }))
  for (const kind of ['nodeclient', 'selfnodeclient']) {
    const name = `system:certificates.k8s.io:certificatesigningrequests:${kind}`
    const resources = [`certificatesigningrequests/${kind}`]
    store.put('clusterroles', role(name, { apiGroups: [certificates], resources, verbs: ['create'] }))
  }
  store.put('clusterrolebindings', {
    apiVersion: rbacVersion,
    kind: 'ClusterRoleBinding',
    metadata: { name: 'kubeadm:cluster-admins' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'kubeadm:cluster-admins' }]
  })
  putKubeadmConfig(store, endpoint, version)
}

/** kubeadm upgrade rewrites these with the control plane's version. */
export function putKubeadmConfig(store: ObjectStore, endpoint: string, version: string): void {
  const cluster = `apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: ${version}\ncontrolPlaneEndpoint: ${endpoint}\n`
  const kubelet = 'apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n'
  store.put('configmaps', configMap('kubeadm-config', { ClusterConfiguration: cluster }))
  store.put('configmaps', configMap('kubelet-config', { kubelet }))
}

function role(name: string, rule: Fields): Stored {
  return { apiVersion: rbacVersion, kind: 'ClusterRole', metadata: { name }, rules: [rule] }
}

function configMap(name: string, data: Fields): Stored {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'kube-system' }, data }
}
