// Which labels a kubelet may give its own Node at registration (--node-labels), after well_known_labels.go and
// NodeRestriction: with one it may not, it refuses to start. The others the server sets once the Node is there.

import { intent } from '../contract/names.ts'

const allowed = new Set([
  'kubernetes.io/hostname',
  'kubernetes.io/os',
  'kubernetes.io/arch',
  'node.kubernetes.io/instance-type',
  'topology.kubernetes.io/zone',
  'topology.kubernetes.io/region'
])

const intents: readonly string[] = Object.values(intent)

export function kubeletMayLabel(key: string): boolean {
  if (intents.includes(key)) return false
  const prefix = key.includes('/') ? key.slice(0, key.indexOf('/')) : ''
  if (within(prefix, 'node-restriction.kubernetes.io')) return false
  if (!within(prefix, 'kubernetes.io') && !within(prefix, 'k8s.io')) return true
  return allowed.has(key) || within(prefix, 'kubelet.kubernetes.io') || within(prefix, 'node.kubernetes.io')
}

/** Labels of a profile that are the server's to set. An intent is a person's to ask, never a profile's. */
export function serverLabels(labels: Readonly<Record<string, string>>): Array<[key: string, value: string]> {
  return Object.entries(labels).filter(([key]) => !kubeletMayLabel(key) && !intents.includes(key))
}

function within(prefix: string, domain: string): boolean {
  return prefix === domain || prefix.endsWith(`.${domain}`)
}
