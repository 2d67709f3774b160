// How a simulated kubelet gets its certificate: with the bootstrap token it files a request, somebody else approves it.

import { generateKeyPairSync, randomBytes } from 'node:crypto'
import type { KubeClient } from '../../../server/kubeapi/client.ts'
import type { CertificateSigningRequest } from '../../../server/kubeapi/objects.ts'
import { paths } from '../../../server/kubeapi/paths.ts'
import { watch } from '../../../server/kubeapi/watch.ts'
import { certificateRequest } from './csr.ts'
import { pause } from './http.ts'

/** How long join waits for its certificate (kubeadm: timeouts.tlsBootstrap is five minutes). */
const APPROVAL_MS = 30_000

/** Certificate and key in one PEM text (pkg/kubelet/certificate/bootstrap). */
export async function requestCertificate(client: KubeClient, node: string, signal: AbortSignal): Promise<string> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' })
  const request = certificateRequest(keyPem, { organization: 'system:nodes', commonName: `system:node:${node}` })
  const name = `node-csr-${randomBytes(8).toString('hex')}`
  const csr = {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name },
    spec: {
      request: Buffer.from(request).toString('base64'),
      signerName: 'kubernetes.io/kube-apiserver-client-kubelet',
      usages: ['digital signature', 'client auth']
    }
  }
  await client.create(paths.csrs, csr, { signal })
  const certificate = await issuedCertificate(client, name, signal)
  return `${certificate}${keyPem}`
}

/** Lists and watches the one request, as the kubelet does: what comes after the token has gone still arrives. */
async function issuedCertificate(client: KubeClient, name: string, signal: AbortSignal): Promise<string> {
  const found = new AbortController()
  const late = AbortSignal.timeout(APPROVAL_MS)
  let certificate: string | null = null
  let denied: string | null = null
  const look = ({ status }: CertificateSigningRequest): void => {
    if (status?.certificate !== undefined) certificate = Buffer.from(status.certificate, 'base64').toString()
    const refusal = status?.conditions?.find(({ type }) => type === 'Denied')
    if (refusal !== undefined) denied = `certificate request denied: ${refusal.message ?? ''}`
    if (certificate !== null || denied !== null) found.abort()
  }
  let trouble = 'nobody approved the certificate request'
  await watch<CertificateSigningRequest>(
    client,
    paths.csrs,
    { fieldSelector: `metadata.name=${name}` },
    {
      handle: event => {
        if (event.type === 'listed') event.items.forEach(look)
        else look(event.object)
      },
      failed: (error, failures) => {
        trouble = (error as Error).message
        // A token that has gone does not come back.
        if (failures > 2) found.abort()
      },
      sleep: async (_ms, aborted) => await pause(200, aborted)
    },
    AbortSignal.any([signal, late, found.signal])
  )
  signal.throwIfAborted()
  if (certificate !== null) return certificate
  throw new Error(`kubelet-wait-bootstrap: ${denied ?? trouble}`)
}
