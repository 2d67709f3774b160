// Authorisation as --authorization-mode=Node,RBAC does it: either may allow, neither denies. RBAC is evaluated from
// the stored roles and bindings; the Node authorizer from the rules of plugin/pkg/auth/authorizer/node for our subset
// of resources.

import { isFields, text } from './fields.ts'
import type { Fields, ObjectStore, Stored } from './objects.ts'
import { forbidden } from './refusal.ts'
import { qualified, type Target, type Verb } from './resources.ts'
import type { FieldTerm } from './selectors.ts'
import type { User } from './users.ts'

export interface Attributes extends Target {
  readonly verb: Verb
  readonly fields: readonly FieldTerm[]
}

/** The node's name, when the user is a kubelet. */
export function nodeOf({ name, groups }: User): string | null {
  return groups.includes('system:nodes') ? (/^system:node:(.+)$/.exec(name)?.[1] ?? null) : null
}

/** Throws the 403 that the API server would give. */
export function authorize(user: User, attributes: Attributes, store: ObjectStore): void {
  if (user.groups.includes('system:masters') || allowedByRbac(user, attributes, store)) return
  const node = nodeOf(user)
  const why = node === null ? '' : nodeMayNot(node, attributes, store)
  if (why === null) return
  const { verb, namespace, name, group, subresource } = attributes
  const resource = subresource === null ? attributes.plural : `${attributes.plural}/${subresource}`
  const scope = namespace === null ? 'at the cluster scope' : `in the namespace "${namespace}"`
  const what = `User "${user.name}" cannot ${verb} resource "${resource}" in API group "${group}" ${scope}`
  throw forbidden(qualified(attributes), name, why === '' ? what : `${what}: ${why}`)
}

export function allowedByRbac(user: User, attributes: Attributes, store: ObjectStore): boolean {
  const bindings = [
    ...store.list('clusterrolebindings'),
    ...(attributes.namespace === null ? [] : store.list('rolebindings', attributes.namespace))
  ]
  return bindings
    .filter(binding => subjectsOf(binding).some(subject => isSubject(subject, user)))
    .some(binding => rulesOf(binding, store).some(rule => covers(rule, attributes)))
}

function subjectsOf({ subjects }: Stored): Fields[] {
  return Array.isArray(subjects) ? subjects.filter(isFields) : []
}

function isSubject({ kind, name }: Fields, user: User): boolean {
  return kind === 'Group' ? user.groups.includes(text(name)) : kind === 'User' && name === user.name
}

function rulesOf(binding: Stored, store: ObjectStore): Fields[] {
  const { roleRef } = binding
  if (!isFields(roleRef)) return []
  const cluster = roleRef['kind'] === 'ClusterRole'
  const namespace = cluster ? null : (binding.metadata.namespace ?? null)
  const rules = store.find(cluster ? 'clusterroles' : 'roles', namespace, text(roleRef['name']))?.['rules']
  return Array.isArray(rules) ? rules.filter(isFields) : []
}

function covers(rule: Fields, { verb, group, plural, subresource, name }: Attributes): boolean {
  const has = (key: string, wanted: string) => {
    const list = rule[key]
    return Array.isArray(list) && (list.includes('*') || list.includes(wanted))
  }
  const names = rule['resourceNames']
  return (
    has('verbs', verb) &&
    has('apiGroups', group) &&
    has('resources', subresource === null ? plural : `${plural}/${subresource}`) &&
    (!Array.isArray(names) || names.length === 0 || (name !== null && names.includes(name)))
  )
}

/** Null: allowed. Else why not; empty when the node authorizer has no opinion. */
function nodeMayNot(node: string, attributes: Attributes, store: ObjectStore): string | null {
  const { verb, plural, subresource, name, fields } = attributes
  const exact = (field: string) => fields.find(term => term.field === field && term.operator === '=')?.value
  const writes = verb === 'create' || verb === 'update' || verb === 'patch'
  switch (plural) {
    case 'nodes':
      if (writes && (subresource === null || subresource === 'status')) return null
      if (verb === 'get') return name === node ? null : `node '${node}' cannot read '${name}', only its own Node object`
      if (verb !== 'list' && verb !== 'watch') return ''
      return exact('metadata.name') === node ? null : `node '${node}' cannot read all nodes, only its own Node object`
    case 'pods':
      return podRights(node, attributes, exact('spec.nodeName'), store)
    case 'leases':
      if (attributes.namespace !== 'kube-node-lease' || (name !== node && verb !== 'create')) return ownLease
      return writes || verb === 'get' || verb === 'delete' ? null : ownLease
    case 'events':
      return writes ? null : ''
    case 'certificatesigningrequests':
      return subresource === null && ['create', 'get', 'list', 'watch'].includes(verb) ? null : ''
    default:
      return ''
  }
}

const ownLease = 'can only access node lease with the same name as the requesting node'

function podRights(
  node: string,
  { verb, subresource, namespace, name }: Attributes,
  selected: string | undefined,
  store: ObjectStore
): string | null {
  if (subresource === 'eviction') return verb === 'create' ? null : ''
  if (subresource === 'status') return verb === 'update' || verb === 'patch' ? null : ''
  if (subresource !== null) return ''
  switch (verb) {
    case 'create':
    case 'delete':
      return null // NodeRestriction looks at which pod
    case 'list':
    case 'watch':
      return selected === node ? null : 'can only list/watch pods with spec.nodeName field selector'
    case 'get': {
      const spec = store.find('pods', namespace, name ?? '')?.['spec']
      // The authorizer looks in its graph, so a pod that is gone is forbidden, not missing.
      const bound = isFields(spec) && spec['nodeName'] === node
      return bound ? null : `no relationship found between node '${node}' and this object`
    }
    default:
      return ''
  }
}
