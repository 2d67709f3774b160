// Whether a certificate signing request in the cluster is exactly the one that a join token was minted for. Pure.
// After pkg/apis/certificates/helpers.go:ValidateKubeletClientCSR, and stricter: Kubernetes' own approver never
// compares the name, so with it any token could become any node.

export const kubeletClientSigner = 'kubernetes.io/kube-apiserver-client-kubelet'

/** A PKCS #10 request whose signature was verified. */
export interface CertificateRequest {
  readonly commonNames: readonly string[]
  readonly organizations: readonly string[]
  /** Subject attributes beside CN and O. */
  readonly otherNames: number
  /** Extensions asked for; a kubelet's client certificate needs none, alternative names least of all. */
  readonly extensions: number
  readonly publicKeyDer: Buffer
}

/** The CSR object as the API server holds it; `username` is the API server's own word, not the sender's. */
export interface SeenRequest {
  readonly name: string
  readonly username: string
  readonly signerName: string
  readonly usages: readonly string[]
  /** Null when it does not parse or its signature is wrong. */
  readonly request: CertificateRequest | null
}

export interface MintedToken {
  readonly id: string
  readonly node: string
  /** The CSR that was approved with this token; there is never a second. */
  readonly csr: string | null
  readonly expiresAt: Date
}

export type CsrDecision =
  | { readonly verdict: 'approve'; readonly token: string }
  | { readonly verdict: 'refuse'; readonly token: string; readonly reason: string }
  /** Not from one of our tokens: somebody else's business. */
  | { readonly verdict: 'ignore' }

const bootstrapUser = /^system:bootstrap:([a-z0-9]{6})$/

export function tokenIdOf(username: string): string | null {
  return bootstrapUser.exec(username)?.[1] ?? null
}

/** `token` is the one that `seen.username` names, or null when we did not mint it. */
export function decideCsr(seen: SeenRequest, token: MintedToken | null, now: Date): CsrDecision {
  if (token === null || tokenIdOf(seen.username) !== token.id) return { verdict: 'ignore' }
  const reason = whyNot(seen, token, now)
  return reason === null ? { verdict: 'approve', token: token.id } : { verdict: 'refuse', token: token.id, reason }
}

function whyNot({ name, signerName, usages, request }: SeenRequest, token: MintedToken, now: Date): string | null {
  if (token.csr !== null && token.csr !== name) return `the token was already used for the request ${token.csr}`
  if (token.expiresAt <= now) return 'the token has expired'
  if (signerName !== kubeletClientSigner) return `the signer is ${signerName}, not ${kubeletClientSigner}`
  if (request === null) return 'the request does not parse, or its signature is wrong'
  const wanted = `system:node:${token.node}`
  if (!same(request.commonNames, [wanted])) {
    return `the request names ${quoted(request.commonNames)}; the token is for ${wanted} only`
  }
  if (!same(request.organizations, ['system:nodes'])) {
    return `the request is for the groups ${quoted(request.organizations)}, not system:nodes alone`
  }
  if (request.otherNames > 0) return 'the subject has attributes beside its name and group'
  if (request.extensions > 0) return 'the request asks for extensions, such as alternative names'
  return usagesAllowed(usages) ? null : `the usages are ${quoted(usages)}`
}

function usagesAllowed(usages: readonly string[]): boolean {
  const needed = ['client auth', 'digital signature']
  const given = [...usages].sort()
  return same(given, needed) || same(given, [...needed, 'key encipherment'])
}

function same(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((item, i) => item === right[i])
}

function quoted(texts: readonly string[]): string {
  return JSON.stringify(texts).slice(0, 200)
}
