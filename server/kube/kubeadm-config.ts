// kubeadm's configuration files (kubeadm.k8s.io/v1beta4) for a machine that joins, and for the first control plane.
// Pure. Held to the real `kubeadm config validate` of two minors by test/server/kube/kubeadm-config.test.ts.

import { stringify } from 'yaml'
import type { ClusterSpec, ProfileSpec } from '../contract/document.ts'
import { kubeletMayLabel } from './node-labels.ts'

export interface Joining {
  /** The name of the node to be. */
  readonly node: string
  readonly profile: ProfileSpec
  readonly cluster: ClusterSpec
  readonly caPem: string
  /** id.secret */
  readonly token: string
}

const apiVersion = 'kubeadm.k8s.io/v1beta4'
export const discoveryPath = '/run/slipway/discovery.conf'

const criSockets = {
  crio: 'unix:///var/run/crio/crio.sock',
  containerd: 'unix:///run/containerd/containerd.sock'
} as const

/** JoinConfiguration of a worker. It holds the token, so the file is 0600 and goes away after the join. */
export function joinConfiguration({ node, profile, token }: Joining): string {
  return stringify({
    apiVersion,
    kind: 'JoinConfiguration',
    discovery: { file: { kubeConfigPath: discoveryPath }, tlsBootstrapToken: token },
    nodeRegistration: registration(node, profile, profile.taints ?? []),
    // Approval comes at once, but a busy machine may take long to start its kubelet.
    timeouts: { tlsBootstrap: '10m0s' }
  })
}

/**
 * The discovery file pins the authority, so nothing is asked of the anonymous cluster-info. kubeadm wants exactly one
 * cluster with the empty name, and no contexts, when the token is given apart.
 */
export function discoveryKubeconfig({ cluster, caPem }: Pick<Joining, 'cluster' | 'caPem'>): string {
  const authority = Buffer.from(caPem).toString('base64')
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: '', cluster: { server: `https://${cluster.endpoint}`, 'certificate-authority-data': authority } }
    ]
  })
}

export interface Initialising {
  readonly node: string
  readonly profile: ProfileSpec
  readonly cluster: ClusterSpec
  readonly clusterName: string
  /** The machine's own address, where its API server listens; null: kubeadm finds it. */
  readonly address: string | null
}

/** InitConfiguration and ClusterConfiguration of the first control plane. */
export function initConfiguration({ node, profile, cluster, clusterName, address }: Initialising): string {
  const [host = '', port = '6443'] = cluster.endpoint.split(':')
  const { podSubnet, serviceSubnet } = cluster
  const init = {
    apiVersion,
    kind: 'InitConfiguration',
    // Null leaves kubeadm's own taint, which keeps workloads off a control plane.
    nodeRegistration: registration(node, profile, profile.taints ?? null),
    localAPIEndpoint: { ...(address !== null && { advertiseAddress: address }), bindPort: Number(port) },
    // Without its stock token group, whose requests Kubernetes would approve for any name.
    skipPhases: ['bootstrap-token', 'show-join-command']
  }
  const configuration = {
    apiVersion,
    kind: 'ClusterConfiguration',
    clusterName,
    kubernetesVersion: cluster.version,
    controlPlaneEndpoint: cluster.endpoint,
    encryptionAlgorithm: 'ECDSA-P256',
    apiServer: { certSANs: [host] },
    networking: { ...(podSubnet !== undefined && { podSubnet }), ...(serviceSubnet !== undefined && { serviceSubnet }) }
  }
  return `${stringify(init)}---\n${stringify(configuration)}`
}

function registration(name: string, { kubernetes, labels = {} }: ProfileSpec, taints: ProfileSpec['taints'] | null) {
  const settable = Object.entries(labels).filter(([key]) => kubeletMayLabel(key))
  const value = settable.map(([key, text]) => `${key}=${text}`).join(',')
  return {
    name,
    criSocket: criSockets[kubernetes.runtime],
    ...(taints !== null && { taints }),
    ...(value !== '' && { kubeletExtraArgs: [{ name: 'node-labels', value }] })
  }
}
