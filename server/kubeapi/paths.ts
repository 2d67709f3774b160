// Paths of the Kubernetes API that Slipway uses, and their query strings. Names are encoded: a hostile one stays one
// segment.

const core = '/api/v1'
const certificates = '/apis/certificates.k8s.io/v1'
const rbac = '/apis/rbac.authorization.k8s.io/v1'
const admission = '/apis/admissionregistration.k8s.io/v1'

export const paths = {
  version: '/version',
  readyz: '/readyz',
  nodes: `${core}/nodes`,
  node: (name: string) => `${core}/nodes/${segment(name)}`,
  nodeStatus: (name: string) => `${core}/nodes/${segment(name)}/status`,
  allPods: `${core}/pods`,
  pods: (namespace: string) => `${core}/namespaces/${segment(namespace)}/pods`,
  pod: (namespace: string, name: string) => `${core}/namespaces/${segment(namespace)}/pods/${segment(name)}`,
  podStatus: (namespace: string, name: string) =>
    `${core}/namespaces/${segment(namespace)}/pods/${segment(name)}/status`,
  eviction: (namespace: string, name: string) =>
    `${core}/namespaces/${segment(namespace)}/pods/${segment(name)}/eviction`,
  secrets: (namespace: string) => `${core}/namespaces/${segment(namespace)}/secrets`,
  secret: (namespace: string, name: string) => `${core}/namespaces/${segment(namespace)}/secrets/${segment(name)}`,
  configMaps: (namespace: string) => `${core}/namespaces/${segment(namespace)}/configmaps`,
  configMap: (namespace: string, name: string) =>
    `${core}/namespaces/${segment(namespace)}/configmaps/${segment(name)}`,
  events: (namespace: string) => `${core}/namespaces/${segment(namespace)}/events`,
  leases: (namespace: string) => `/apis/coordination.k8s.io/v1/namespaces/${segment(namespace)}/leases`,
  lease: (namespace: string, name: string) =>
    `/apis/coordination.k8s.io/v1/namespaces/${segment(namespace)}/leases/${segment(name)}`,
  budgets: (namespace: string) => `/apis/policy/v1/namespaces/${segment(namespace)}/poddisruptionbudgets`,
  budget: (namespace: string, name: string) =>
    `/apis/policy/v1/namespaces/${segment(namespace)}/poddisruptionbudgets/${segment(name)}`,
  csrs: `${certificates}/certificatesigningrequests`,
  csr: (name: string) => `${certificates}/certificatesigningrequests/${segment(name)}`,
  csrApproval: (name: string) => `${certificates}/certificatesigningrequests/${segment(name)}/approval`,
  clusterRoles: `${rbac}/clusterroles`,
  clusterRoleBindings: `${rbac}/clusterrolebindings`,
  roles: (namespace: string) => `${rbac}/namespaces/${segment(namespace)}/roles`,
  roleBindings: (namespace: string) => `${rbac}/namespaces/${segment(namespace)}/rolebindings`,
  admissionPolicies: `${admission}/validatingadmissionpolicies`,
  admissionPolicyBindings: `${admission}/validatingadmissionpolicybindings`,
  /** A named object of any collection above. */
  named: (collection: string, name: string) => `${collection}/${segment(name)}`
} as const

export type Query = Readonly<Record<string, string | number | boolean | undefined>>

/** Adds a query string; undefined values are left out. */
export function withQuery(path: string, query: Query = {}): string {
  const pairs = Object.entries(query).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)]]))
  if (pairs.length === 0) return path
  return `${path}${path.includes('?') ? '&' : '?'}${new URLSearchParams(pairs).toString()}`
}

function segment(name: string): string {
  // encodeURIComponent keeps dots, and a segment of dots alone would climb when a proxy normalises it
  if (/^\.*$/.test(name)) throw new Error(`not a name of a Kubernetes object: ${JSON.stringify(name)}`)
  return encodeURIComponent(name)
}
