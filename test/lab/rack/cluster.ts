// The cluster of the lab: a simulated API server that is switched on by the first control plane's `kubeadm init`, and a
// small workload on it, so that draining a node means something: a Deployment of three pods behind a budget of two.

import { parseKubeconfig } from '../../../server/kubeapi/kubeconfig.ts'
import { type SimulatedApiServer, startSimulatedApiServer } from '../apiserver/server.ts'
import { startWorkload } from './workload.ts'

export interface Issued {
  readonly certificatePem: string
  readonly keyPem: string
}

export interface Cluster {
  readonly url: string
  /** Null until `kubeadm init`. */
  readonly api: SimulatedApiServer | null
  readonly start: (version: string) => Promise<void>
  readonly upgrade: (version: string) => void
  /** A kubeconfig that names the file of certificate and key, as kubeadm writes one. */
  readonly fileKubeconfig: (pemPath: string) => string
  /** A new client certificate. */
  readonly issue: (commonName: string, organization: string) => Promise<Issued>
  readonly close: () => Promise<void>
}

export function createCluster(port: number, failed: (error: unknown) => void): Cluster {
  const url = `https://127.0.0.1:${port}`
  let api: SimulatedApiServer | null = null
  let stopWorkload: (() => void) | null = null
  const running = (): SimulatedApiServer => {
    if (api === null) throw new Error(`${url}: connection refused (no cluster yet)`)
    return api
  }
  return {
    url,
    get api() {
      return api
    },
    start: async version => {
      if (api !== null) throw new Error('the lab has one cluster, and it exists')
      const expectedPods = () => REPLICAS
      api = await startSimulatedApiServer({ version, now: () => new Date(), port, expectedPods, failed })
      stopWorkload = startWorkload(api.store, REPLICAS, failed)
    },
    upgrade: version => running().setVersion(version),
    fileKubeconfig: pemPath => {
      const ca = Buffer.from(running().caPem).toString('base64')
      return `apiVersion: v1
kind: Config
current-context: default
contexts: [{name: default, context: {cluster: kubernetes, user: default-auth}}]
clusters:
- {name: kubernetes, cluster: {server: "${url}", certificate-authority-data: ${ca}}}
users:
- {name: default-auth, user: {client-certificate: ${pemPath}, client-key: ${pemPath}}}
`
    },
    issue: async (commonName, organization) => {
      const text = running().kubeconfigFor({ commonName, organizations: [organization] })
      const { certificate, key } = await parseKubeconfig(text)
      if (certificate === null || key === null || !('pem' in certificate) || !('pem' in key)) {
        throw new TypeError('the simulated API server gives certificates inline')
      }
      return { certificatePem: certificate.pem, keyPem: key.pem }
    },
    close: async () => {
      stopWorkload?.()
      await api?.close()
    }
  }
}

/** Three pods behind a budget of two: one node at a time can be emptied, two cannot. */
const REPLICAS = 3
