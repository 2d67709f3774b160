// What a real cluster's controllers do by themselves, as far as joining and draining need it: approve a kubelet's own
// renewals where RBAC allows, sign what is approved, count disruption budgets. Replacing evicted pods is the lab's
// business.

import { readCertificateRequest } from '../../../server/kube/csr.ts'
import type { Authority } from './certificates.ts'
import { countBudgets, type ExpectedPods } from './eviction.ts'
import { at, isFields, requestPem, text } from './fields.ts'
import { conditionTypes } from './kinds.ts'
import type { Fields, ObjectStore, Stored } from './objects.ts'
import { allowedByRbac } from './rights.ts'

const signer = 'kubernetes.io/kube-apiserver-client-kubelet'
const watched = new Set(['certificatesigningrequests', 'pods', 'poddisruptionbudgets'])

/** Runs after each change, never within one: a client sees its own write first, as with real controllers. */
export function startControllers(
  store: ObjectStore,
  authority: Authority,
  expectedPods: ExpectedPods,
  now: () => Date,
  failed: (error: unknown) => void
): () => void {
  let scheduled: NodeJS.Immediate | null = null
  const run = () => {
    scheduled = null
    try {
      for (const request of store.list('certificatesigningrequests'))
        sign(store, approve(store, request, now()), authority, now())
      countBudgets(store, expectedPods)
    } catch (error) {
      failed(error)
    }
  }
  const unsubscribe = store.subscribe(({ resource }) => {
    if (watched.has(resource)) scheduled ??= setImmediate(run)
  })
  return () => {
    unsubscribe()
    if (scheduled !== null) clearImmediate(scheduled)
  }
}

/** pkg/controller/certificates/approver/sarapprove.go: which node it names is compared only for renewals. */
function approve(store: ObjectStore, request: Stored, now: Date): Stored {
  if (at(request, 'spec', 'signerName') !== signer || conditionTypes(request).length > 0) return request
  const parsed = readCertificateRequest(requestPem(request))
  const username = text(at(request, 'spec', 'username'))
  const groups = at(request, 'spec', 'groups')
  const user = { name: username, groups: Array.isArray(groups) ? groups.map(text) : [] }
  const own = parsed?.commonNames[0] === username
  const kinds = own ? ['selfnodeclient', 'nodeclient'] : ['nodeclient']
  const allowed = kinds.some(subresource =>
    allowedByRbac(
      user,
      {
        verb: 'create',
        group: 'certificates.k8s.io',
        plural: 'certificatesigningrequests',
        subresource,
        namespace: null,
        name: null,
        fields: []
      },
      store
    )
  )
  if (!allowed) return request
  const message = 'Auto approving kubelet client certificate after SubjectAccessReview.'
  const approved: Fields = {
    type: 'Approved',
    status: 'True',
    reason: 'AutoApproved',
    message,
    lastUpdateTime: now.toISOString()
  }
  return store.put('certificatesigningrequests', withStatus(request, { conditions: [approved] }))
}

function sign(store: ObjectStore, request: Stored, authority: Authority, now: Date): void {
  const types = conditionTypes(request)
  if (!types.includes('Approved') || types.includes('Denied') || types.includes('Failed')) return
  if (at(request, 'spec', 'signerName') !== signer || at(request, 'status', 'certificate') !== undefined) return
  const parsed = readCertificateRequest(requestPem(request))
  const [commonName] = parsed?.commonNames ?? []
  if (parsed === null || commonName === undefined) return
  const { organizations, publicKeyDer } = parsed
  const pem = authority.certify({ commonName, organizations }, publicKeyDer, 'client', now)
  const certificate = Buffer.from(pem).toString('base64')
  store.put('certificatesigningrequests', withStatus(request, { certificate }))
}

function withStatus(request: Stored, change: Fields): Stored {
  return { ...request, status: { ...(isFields(request['status']) ? request['status'] : {}), ...change } }
}
