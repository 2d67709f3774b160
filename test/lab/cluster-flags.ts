// How the processes of cluster.ts are set up: kubeadm's configuration and the flags, after what kubeadm itself would
// write.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface Place {
  readonly folder: string
  readonly tools: string
  readonly bind: string
  /** What the API server tells the cluster of itself: never loopback, which it refuses. */
  readonly advertise: string
  /** Where clients reach it. */
  readonly host: string
  readonly ports: { readonly api: number; readonly etcd: number; readonly peer: number }
}

/** `pki` is where the keys are: our folder while we make them, the nodes' own place in what the cluster keeps. */
export async function writeConfig(place: Place, version: string, pki: string): Promise<string> {
  const path = join(place.folder, 'kubeadm.yaml')
  await writeFile(
    path,
    `apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: ${place.advertise}, bindPort: ${place.ports.api}}
nodeRegistration: {name: cp0, criSocket: "unix:///run/containerd/containerd.sock"}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: ${version}
controlPlaneEndpoint: ${place.host}:${place.ports.api}
certificatesDir: ${pki}
clusterName: lab
encryptionAlgorithm: ECDSA-P256
apiServer: {certSANs: ["${place.host}"]}
networking: {serviceSubnet: 10.96.0.0/16, podSubnet: 10.244.0.0/16}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: systemd
`
  )
  return path
}

export function apiServerFlags({ folder, bind, advertise, ports }: Place): string[] {
  const pki = (name: string) => join(folder, 'pki', name)
  return [
    `--bind-address=${bind}`,
    `--advertise-address=${advertise}`,
    `--secure-port=${ports.api}`,
    `--etcd-servers=http://127.0.0.1:${ports.etcd}`,
    '--service-cluster-ip-range=10.96.0.0/16',
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--enable-bootstrap-token-auth=true',
    '--allow-privileged=true',
    `--client-ca-file=${pki('ca.crt')}`,
    `--tls-cert-file=${pki('apiserver.crt')}`,
    `--tls-private-key-file=${pki('apiserver.key')}`,
    `--service-account-key-file=${pki('sa.pub')}`,
    `--service-account-signing-key-file=${pki('sa.key')}`,
    '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
    `--kubelet-client-certificate=${pki('apiserver-kubelet-client.crt')}`,
    `--kubelet-client-key=${pki('apiserver-kubelet-client.key')}`,
    '--kubelet-preferred-address-types=InternalIP'
  ]
}

export function controllerFlags(folder: string): string[] {
  return [
    `--kubeconfig=${join(folder, 'controller-manager.conf')}`,
    `--cluster-signing-cert-file=${join(folder, 'pki', 'ca.crt')}`,
    `--cluster-signing-key-file=${join(folder, 'pki', 'ca.key')}`,
    `--root-ca-file=${join(folder, 'pki', 'ca.crt')}`,
    `--service-account-private-key-file=${join(folder, 'pki', 'sa.key')}`,
    '--use-service-account-credentials=true',
    '--controllers=*,bootstrapsigner,tokencleaner',
    '--allocate-node-cidrs=true',
    '--cluster-cidr=10.244.0.0/16',
    '--service-cluster-ip-range=10.96.0.0/16',
    '--leader-elect=false',
    '--secure-port=0'
  ]
}
