// The certificate requests of joining kubelets: of each that comes from one of our tokens, exactly the right one is
// approved, any other is denied and told on the timeline; requests of others are not ours to judge. Once the
// certificate is issued the token's Secret goes. What is right is core/csr-approval.ts.

import { type CsrDecision, decideCsr, tokenIdOf } from '../core/csr-approval.ts'
import type { KubeClient } from '../kubeapi/client.ts'
import type { CertificateSigningRequest, Condition } from '../kubeapi/objects.ts'
import { paths } from '../kubeapi/paths.ts'
import { bindCsr, findJoinToken, type JoinToken } from '../store/join-tokens.ts'
import { type Recorder, recordEvent } from '../timeline.ts'
import { readCertificateRequest } from './csr.ts'
import { endToken } from './tokens.ts'

export interface JoinDeps extends Recorder {
  readonly kube: KubeClient
}

/** Looks at one request as it is now and does what it asks for. Safe to repeat, and after a crash at any point. */
export async function judgeRequest(deps: JoinDeps, name: string): Promise<void> {
  const { kube, db, now } = deps
  const csr = await kube.get<CertificateSigningRequest>(paths.csr(name))
  const id = tokenIdOf(csr.spec.username ?? '')
  const token = id === null ? null : await findJoinToken(db, id)
  if (token === null) return
  if (csr.status?.certificate !== undefined) {
    // A denied request has none, so this is the approved one.
    if (token.csr === name && token.endedAt === null) await endToken(deps, token, now())
    return
  }
  if ((csr.status?.conditions ?? []).length > 0) return
  await answer(deps, csr, token, decideCsr(seenOf(csr), token, now()))
}

async function answer(
  deps: JoinDeps,
  csr: CertificateSigningRequest,
  token: JoinToken,
  decision: CsrDecision
): Promise<void> {
  if (decision.verdict === 'ignore') return
  if (decision.verdict === 'refuse') return refuse(deps, csr, token, decision.reason)
  // Bound before it is approved: whatever happens then, no second request can be.
  const bound = await bindCsr(deps.db, token.id, csr.metadata.name)
  if (bound === null) return refuse(deps, csr, token, 'the token has ended, or was used for another request')
  const message = `the join of ${token.node}, for which the token was minted`
  await settle(deps, csr, { type: 'Approved', status: 'True', reason: 'SlipwayJoin', message })
  await recordEvent(deps, {
    type: 'join.csr-approved',
    machine: token.machine,
    message: `approved the certificate request of node ${token.node}`,
    detail: { node: token.node, csr: csr.metadata.name }
  })
}

async function refuse(deps: JoinDeps, csr: CertificateSigningRequest, token: JoinToken, reason: string): Promise<void> {
  await settle(deps, csr, { type: 'Denied', status: 'True', reason: 'SlipwayRefused', message: reason })
  await recordEvent(deps, {
    type: 'join.csr-refused',
    machine: token.machine,
    level: 'warning',
    message: `refused a certificate request made with its join token: ${reason}`,
    detail: { node: token.node, csr: csr.metadata.name, reason }
  })
}

/** A conflict means that it changed meanwhile: the watch brings it again. */
async function settle({ kube }: JoinDeps, csr: CertificateSigningRequest, condition: Condition): Promise<void> {
  await kube.replace(paths.csrApproval(csr.metadata.name), { ...csr, status: { conditions: [condition] } })
}

function seenOf({ metadata, spec }: CertificateSigningRequest) {
  return {
    name: metadata.name,
    username: spec.username ?? '',
    signerName: spec.signerName,
    usages: spec.usages ?? [],
    request: readCertificateRequest(Buffer.from(spec.request, 'base64').toString('latin1'))
  }
}
