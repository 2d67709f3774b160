// Which resources the simulated API server has, and how a request's path and query name one.

import { badRequest } from './refusal.ts'

export interface Resource {
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly kind: string
  readonly namespaced: boolean
  readonly subresources: readonly string[]
}

function of(group: string, kind: string, plural: string, namespaced: boolean, subresources: string[] = []): Resource {
  return { group, version: 'v1', plural, kind, namespaced, subresources }
}

const rbac = 'rbac.authorization.k8s.io'
const admission = 'admissionregistration.k8s.io'

export const resources: readonly Resource[] = [
  of('', 'Namespace', 'namespaces', false),
  of('', 'Node', 'nodes', false, ['status']),
  of('', 'Pod', 'pods', true, ['status', 'eviction']),
  of('', 'Secret', 'secrets', true),
  of('', 'ConfigMap', 'configmaps', true),
  of('', 'Event', 'events', true),
  of('coordination.k8s.io', 'Lease', 'leases', true),
  of('policy', 'PodDisruptionBudget', 'poddisruptionbudgets', true, ['status']),
  of('certificates.k8s.io', 'CertificateSigningRequest', 'certificatesigningrequests', false, ['status', 'approval']),
  of(rbac, 'ClusterRole', 'clusterroles', false),
  of(rbac, 'ClusterRoleBinding', 'clusterrolebindings', false),
  of(rbac, 'Role', 'roles', true),
  of(rbac, 'RoleBinding', 'rolebindings', true),
  of(admission, 'ValidatingAdmissionPolicy', 'validatingadmissionpolicies', false, ['status']),
  of(admission, 'ValidatingAdmissionPolicyBinding', 'validatingadmissionpolicybindings', false)
]

export function apiVersionOf({ group, version }: Resource): string {
  return group === '' ? version : `${group}/${version}`
}

/** nodes, or certificatesigningrequests.certificates.k8s.io: as messages name it. */
export function qualified({ group, plural }: Pick<Target, 'group' | 'plural'>): string {
  return group === '' ? plural : `${plural}.${group}`
}

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection' | 'approve'

/** What a request is about, before anybody asked whether such a resource exists. */
export interface Target {
  readonly group: string
  readonly plural: string
  readonly subresource: string | null
  readonly namespace: string | null
  readonly name: string | null
}

const pattern = /^\/(?:api\/v1|apis\/([^/]+)\/v1)\/(?:namespaces\/([^/]+)\/)?([^/]+)(?:\/([^/]+)(?:\/([^/]+))?)?\/?$/

/** Null for a path that is not below /api/v1 or /apis/GROUP/v1. */
export function parseTarget(path: string): Target | null {
  const match = pattern.exec(path)
  if (match === null) return null
  const [group = '', namespace = null, plural = '', name = null, subresource = null] = match
    .slice(1)
    .map(part => (part === undefined ? undefined : decode(part)))
  return { group, plural, subresource, namespace, name }
}

export function findResource({ group, plural, subresource, namespace, name }: Target): Resource | null {
  const found = resources.find(resource => resource.group === group && resource.plural === plural)
  if (found === undefined) return null
  if (subresource !== null && !found.subresources.includes(subresource)) return null
  // A namespaced object is named only with its namespace; a cluster object never with one.
  if (found.namespaced ? namespace === null && name !== null : namespace !== null) return null
  return found
}

export function verbOf(method: string, name: string | null, watching: boolean): Verb | null {
  switch (method) {
    case 'GET':
    case 'HEAD':
      return watching ? 'watch' : name === null ? 'list' : 'get'
    case 'POST':
      return 'create'
    case 'PUT':
      return 'update'
    case 'PATCH':
      return 'patch'
    case 'DELETE':
      return name === null ? 'deletecollection' : 'delete'
    default:
      return null
  }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw badRequest('the path is not valid percent-encoding')
  }
}
