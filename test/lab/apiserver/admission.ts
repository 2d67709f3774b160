// What a kubelet's identity may write once authorisation let it through: NodeRestriction's rules
// (plugin/pkg/admission/noderestriction) for our subset, and Slipway's own policy about intent labels, when it is
// installed.

import { intent } from '../../../server/contract/names.ts'
import { readCertificateRequest } from '../../../server/kube/csr.ts'
import { INTENT_POLICY, intentPolicyMessage } from '../../../server/kube/rbac.ts'
import { at, requestPem } from './fields.ts'
import { type ObjectStore, sameJson, type Stored } from './objects.ts'
import { forbidden } from './refusal.ts'
import { qualified, type Target } from './resources.ts'
import { type Attributes, nodeOf } from './rights.ts'
import type { User } from './users.ts'

/** `object` is what would be stored (null: a deletion), `old` what is. */
export function restrictNode(user: User, attributes: Attributes, object: Stored | null, old: Stored | null): void {
  const node = nodeOf(user)
  if (node === null) return
  const why = whyNot(node, attributes, object, old)
  if (why !== null) throw forbidden(qualified(attributes), attributes.name ?? object?.metadata.name ?? null, why)
}

function whyNot(node: string, target: Target, object: Stored | null, old: Stored | null): string | null {
  switch (target.plural) {
    case 'nodes':
      return object === null ? null : nodeWrite(node, object, old)
    case 'pods':
      return podWrite(node, target, object, old)
    case 'leases': {
      const named = (object ?? old)?.metadata
      const own = named?.namespace === 'kube-node-lease' && named.name === node
      return own ? null : 'can only access node lease with the same name as the requesting node'
    }
    case 'certificatesigningrequests':
      return object === null ? null : requestWrite(node, object)
    default:
      return null
  }
}

function nodeWrite(node: string, object: Stored, old: Stored | null): string | null {
  if (object.metadata.name !== node) return `node "${node}" is not allowed to modify node "${object.metadata.name}"`
  const labels = changedLabels(object, old).filter(key => !mayLabel(key))
  if (old !== null && !sameJson(at(old, 'spec', 'taints'), at(object, 'spec', 'taints'))) {
    return `node "${node}" is not allowed to modify taints`
  }
  if (old !== null && !sameJson(old.metadata['ownerReferences'], object.metadata['ownerReferences'])) {
    return `node "${node}" is not allowed to modify ownerReferences`
  }
  return labels.length === 0 ? null : `is not allowed to modify labels: ${labels.join(', ')}`
}

function changedLabels(object: Stored, old: Stored | null): string[] {
  const now = object.metadata.labels ?? {}
  const was = old?.metadata.labels ?? {}
  return [...new Set([...Object.keys(now), ...Object.keys(was)])].filter(key => now[key] !== was[key]).sort()
}

/** staging/src/k8s.io/kubelet/pkg/apis/well_known_labels.go */
const kubeletLabels = new Set([
  'kubernetes.io/hostname',
  'kubernetes.io/os',
  'kubernetes.io/arch',
  'beta.kubernetes.io/os',
  'beta.kubernetes.io/arch',
  'beta.kubernetes.io/instance-type',
  'node.kubernetes.io/instance-type',
  'topology.kubernetes.io/zone',
  'topology.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region'
])

function mayLabel(key: string): boolean {
  const prefix = key.includes('/') ? key.slice(0, key.indexOf('/')) : ''
  const within = (domain: string) => prefix === domain || prefix.endsWith(`.${domain}`)
  if (within('node-restriction.kubernetes.io')) return false
  if (!within('kubernetes.io') && !within('k8s.io')) return true
  return kubeletLabels.has(key) || within('kubelet.kubernetes.io') || within('node.kubernetes.io')
}

function podWrite(node: string, { subresource }: Target, object: Stored | null, old: Stored | null): string | null {
  const bound = old !== null && at(old, 'spec', 'nodeName') === node
  if (subresource === 'eviction') {
    return bound ? null : `node ${node} can only evict pods with spec.nodeName set to itself`
  }
  if (subresource === 'status') {
    return bound ? null : `node "${node}" can only update pod status for pods with spec.nodeName set to itself`
  }
  if (object === null) return bound ? null : `node "${node}" can only delete pods with spec.nodeName set to itself`
  if (object.metadata.annotations?.['kubernetes.io/config.mirror'] === undefined) {
    return `pod does not have "kubernetes.io/config.mirror" annotation, node "${node}" can only create mirror pods`
  }
  const own = at(object, 'spec', 'nodeName') === node
  return own ? null : `node "${node}" can only create pods with spec.nodeName set to itself`
}

function requestWrite(node: string, object: Stored): string | null {
  const signer = at(object, 'spec', 'signerName')
  if (signer !== 'kubernetes.io/kube-apiserver-client-kubelet' && signer !== 'kubernetes.io/kubelet-serving')
    return null
  const request = readCertificateRequest(requestPem(object))
  const own = request?.commonNames[0] === `system:node:${node}`
  return own ? null : `can only create a node CSR with CN=system:node:${node}`
}

/** The real server runs the policy's CEL; here its meaning is written out, and in force while both objects exist. */
export function enforceIntentPolicy(
  user: User,
  target: Target,
  object: Stored,
  old: Stored | null,
  store: ObjectStore
): void {
  if (target.plural !== 'nodes' || !user.groups.includes('system:nodes')) return
  const binding = store
    .list('validatingadmissionpolicybindings')
    .find(candidate => at(candidate, 'spec', 'policyName') === INTENT_POLICY)
  if (binding === undefined || store.find('validatingadmissionpolicies', null, INTENT_POLICY) === null) return
  const keys: readonly string[] = Object.values(intent)
  if (!changedLabels(object, old).some(key => keys.includes(key))) return
  const by = `ValidatingAdmissionPolicy '${INTENT_POLICY}' with binding '${binding.metadata.name}'`
  throw forbidden(qualified(target), object.metadata.name, `${by} denied request: ${intentPolicyMessage}`)
}
