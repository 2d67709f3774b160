// The API servers that the one contract suite runs against, each with an administrator, kubelets' credentials and
// tokens.

import { generateKeyPairSync } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { createKubeClient, type KubeClient } from '../../server/kubeapi/client.ts'
import { isKubeError, KubeError } from '../../server/kubeapi/errors.ts'
import { textCredentials } from '../../server/kubeapi/files.ts'
import type { CertificateSigningRequest, KubeObject } from '../../server/kubeapi/objects.ts'
import { paths } from '../../server/kubeapi/paths.ts'
import { startSimulatedApiServer } from '../lab/apiserver/server.ts'
import { type ClusterVersion, fullVersion, startCluster } from '../lab/cluster.ts'
import { certificateRequest } from '../lab/rack/csr.ts'

export interface Target {
  readonly name: string
  readonly version: string
  readonly server: string
  readonly caPem: string
  readonly admin: KubeClient
  /** A client with that kubelet's own certificate, issued by the cluster; the Node is created when it is missing. */
  kubelet(node: string): Promise<KubeClient>
  /** A client with a bearer token, or with none. */
  bearer(token: string | null): KubeClient
  close(): Promise<void>
}

export async function simulatedTarget(): Promise<Target> {
  const version = 'v1.36.3'
  const simulation = await startSimulatedApiServer({
    version,
    now: () => new Date(),
    failed: error => {
      throw error
    }
  })
  const { url, caPem, adminKubeconfig } = simulation
  return target(`simulated`, version, url, caPem, adminKubeconfig, async () => simulation.close())
}

export async function realTarget(version: ClusterVersion): Promise<Target> {
  const cluster = await startCluster({ version })
  // Its caches then begin later than version 1, and an old version can be asked for.
  await cluster.upgrade(version)
  const { server, caPem, adminKubeconfig } = cluster
  const made = await target(
    `kube-apiserver ${version}`,
    fullVersion[version],
    server,
    caPem,
    adminKubeconfig,
    async () => cluster.stop()
  )
  // Pods are refused until a controller has made the account that they run as.
  await eventually(async () => made.admin.get('/api/v1/namespaces/default/serviceaccounts/default').catch(absent))
  return made
}

async function target(
  name: string,
  version: string,
  server: string,
  caPem: string,
  kubeconfig: string,
  stop: () => Promise<void>
): Promise<Target> {
  const admin = createKubeClient(await textCredentials(kubeconfig))
  const clients = [admin]
  const kubelets = new Map<string, Promise<KubeClient>>()
  const connect = (identity: { certificatePem: string | null; keyPem: string | null; token: string | null }) => {
    const client = createKubeClient(async () => credentials)
    const credentials = { server, serverName: null, caPem, ...identity }
    clients.push(client)
    return client
  }
  const kubelet = async (node: string) => {
    await admin.create(paths.nodes, { metadata: { name: node } }).catch(exists)
    return connect({ ...(await kubeletCertificate(admin, node)), token: null })
  }
  return {
    name,
    version,
    server,
    caPem,
    admin,
    async kubelet(node) {
      const known = kubelets.get(node) ?? kubelet(node)
      kubelets.set(node, known)
      return known
    },
    bearer: token => connect({ certificatePem: null, keyPem: null, token }),
    async close() {
      for (const client of clients) client.close()
      await stop()
    }
  }
}

/** As the cluster issues it: a request, an approval, the signer's answer. */
async function kubeletCertificate(
  admin: KubeClient,
  node: string
): Promise<{ certificatePem: string; keyPem: string }> {
  const { pem, keyPem } = kubeletRequest(node)
  const csr = await admin.create<CertificateSigningRequest>(paths.csrs, csrObject(`for-${node}`, pem))
  // The cluster may approve an administrator's request by itself, just before.
  await admin.replace(paths.csrApproval(csr.metadata.name), approved(csr)).catch(exists)
  return { certificatePem: await issued(admin, csr.metadata.name), keyPem }
}

export function kubeletRequest(node: string): { pem: string; keyPem: string } {
  const keyPem = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' })
  return {
    pem: certificateRequest(keyPem, { organization: 'system:nodes', commonName: `system:node:${node}` }),
    keyPem
  }
}

export function csrObject(name: string, pem: string, spec: object = {}): KubeObject {
  const object = {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name },
    spec: {
      request: Buffer.from(pem).toString('base64'),
      signerName: 'kubernetes.io/kube-apiserver-client-kubelet',
      usages: ['client auth', 'digital signature'],
      ...spec
    }
  }
  return object
}

export function approved(csr: CertificateSigningRequest, type: 'Approved' | 'Denied' = 'Approved'): object {
  return { ...csr, status: { conditions: [{ type, status: 'True', reason: 'Test', message: 'by the test' }] } }
}

/** Waits for the signer; the PEM. */
export async function issued(client: KubeClient, name: string): Promise<string> {
  return eventually(async () => {
    const { status } = await client.get<CertificateSigningRequest>(paths.csr(name))
    return status?.certificate === undefined ? null : Buffer.from(status.certificate, 'base64').toString()
  })
}

/** Bound of every wait for a controller; a real one needs a second at most on an idle machine. */
const patienceMs = 20_000
const pollMs = 50

/** What a controller does in its own time: asks until there is an answer. */
export async function eventually<T>(ask: () => Promise<T | null>): Promise<T> {
  const deadline = Date.now() + patienceMs
  for (;;) {
    const answer = await ask()
    if (answer !== null) return answer
    if (Date.now() > deadline) throw new Error('what was waited for did not happen')
    await wait(pollMs)
  }
}

/** The refusal of a request that must be refused: status, reason and the rest. */
export async function refusal(request: Promise<unknown>): Promise<KubeError> {
  try {
    await request
  } catch (error) {
    if (error instanceof KubeError) return error
    throw error
  }
  throw new Error('the request was accepted')
}

/** Only the status, 0 for success: for tables. */
export async function statusOf(request: Promise<unknown>): Promise<number> {
  return request.then(
    () => 0,
    (error: unknown) => {
      if (error instanceof KubeError) return error.status
      throw error
    }
  )
}

function absent(error: unknown): null {
  if (isKubeError(error, 404)) return null
  throw error
}

function exists(error: unknown): void {
  if (!isKubeError(error, 409)) throw error
}
