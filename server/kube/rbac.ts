// What Slipway installs in a cluster, as plain objects: the rights of a join token (no more than kubeadm join needs),
// those of joined nodes, and the policy that keeps a node from setting the labels by which administrators ask for
// work on it. Pure.

import { intent, TOKEN_GROUP_PREFIX } from '../contract/names.ts'
import { paths } from '../kubeapi/paths.ts'
import type { KubeObject } from '../kubeapi/objects.ts'

export const INTENT_POLICY = 'slipway-intent-labels'

export interface Installed {
  /** Path of the collection it lives in. */
  readonly collection: string
  readonly object: KubeObject
}

const rbac = 'rbac.authorization.k8s.io'
const rbacVersion = `${rbac}/v1`
const admissionVersion = 'admissionregistration.k8s.io/v1'
const system = 'kube-system'
const join = 'slipway:join'

export const workerTokenGroup = `${TOKEN_GROUP_PREFIX}worker`

/**
 * The least that a token needs to join with a discovery file, found by adding one rule at a time. Absent on purpose:
 * automatic approval (nodeclient), which would let any token become any node; kube-proxy's ConfigMap, whose refusal
 * is a mere warning.
 */
const tokenRights: readonly Installed[] = [
  {
    collection: paths.roles(system),
    object: {
      apiVersion: rbacVersion,
      kind: 'Role',
      metadata: { name: join, namespace: system },
      ...rules([
        {
          apiGroups: [''],
          resources: ['configmaps'],
          resourceNames: ['kubeadm-config', 'kubelet-config'],
          verbs: ['get']
        }
      ])
    }
  },
  {
    collection: paths.clusterRoles,
    object: {
      apiVersion: rbacVersion,
      kind: 'ClusterRole',
      metadata: { name: join },
      ...rules([
        { apiGroups: [''], resources: ['nodes'], verbs: ['get'] },
        // `create` alone is a trap: the request is issued, and the kubelet waits for it for ever.
        {
          apiGroups: ['certificates.k8s.io'],
          resources: ['certificatesigningrequests'],
          verbs: ['create', 'list', 'watch']
        }
      ])
    }
  },
  roleBinding(join, join, workerTokenGroup),
  clusterRoleBinding(join, join, workerTokenGroup)
]

/** `kubeadm upgrade node` reads both ConfigMaps with the kubelet's credential; rotation approves itself. */
const nodeRights: readonly Installed[] = [
  roleBinding('slipway:nodes', join, 'system:nodes'),
  clusterRoleBinding(
    'slipway:rotation',
    'system:certificates.k8s.io:certificatesigningrequests:selfnodeclient',
    'system:nodes'
  )
]

const intentKeys = Object.values(intent)

/** True when a label is in both sets or in neither, and equal. CEL; every key is a constant of ours. */
const unchanged = (key: string) => {
  const [now, was] = [`'${key}' in variables.now`, `'${key}' in variables.was`]
  return `(${now}) == (${was}) && (!(${now}) || variables.now['${key}'] == variables.was['${key}'])`
}

/** An empty map of texts: CEL has no literal that says of what. */
const none = "{'': ''}.filter(k, false)"

const keys = intentKeys.join(', ')
export const intentPolicyMessage = `nodes may not set, change or remove ${keys}: an administrator asks with them`

const intentPolicy: readonly Installed[] = [
  {
    collection: paths.admissionPolicies,
    object: {
      apiVersion: admissionVersion,
      kind: 'ValidatingAdmissionPolicy',
      metadata: { name: INTENT_POLICY },
      ...spec({
        failurePolicy: 'Fail',
        matchConstraints: {
          resourceRules: [
            {
              apiGroups: [''],
              apiVersions: ['v1'],
              operations: ['CREATE', 'UPDATE'],
              resources: ['nodes', 'nodes/status']
            }
          ]
        },
        matchConditions: [{ name: 'by-a-node', expression: "'system:nodes' in request.userInfo.groups" }],
        variables: [
          {
            name: 'was',
            expression: `oldObject != null && has(oldObject.metadata.labels) ? oldObject.metadata.labels : ${none}`
          },
          {
            name: 'now',
            expression: `has(object.metadata.labels) ? object.metadata.labels : ${none}`
          }
        ],
        validations: [
          { expression: intentKeys.map(unchanged).join(' && '), reason: 'Forbidden', message: intentPolicyMessage }
        ]
      })
    }
  },
  {
    collection: paths.admissionPolicyBindings,
    object: {
      apiVersion: admissionVersion,
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata: { name: INTENT_POLICY },
      ...spec({ policyName: INTENT_POLICY, validationActions: ['Deny'] })
    }
  }
]

/** Everything, in the order in which it is written: a role before what binds it. */
export const installedObjects: readonly Installed[] = [...tokenRights, ...nodeRights, ...intentPolicy]

function roleBinding(name: string, role: string, group: string): Installed {
  return {
    collection: paths.roleBindings(system),
    object: {
      apiVersion: rbacVersion,
      kind: 'RoleBinding',
      metadata: { name, namespace: system },
      ...bound('Role', role, group)
    }
  }
}

function clusterRoleBinding(name: string, role: string, group: string): Installed {
  return {
    collection: paths.clusterRoleBindings,
    object: {
      apiVersion: rbacVersion,
      kind: 'ClusterRoleBinding',
      metadata: { name },
      ...bound('ClusterRole', role, group)
    }
  }
}

function bound(kind: string, role: string, group: string): object {
  return {
    roleRef: { apiGroup: rbac, kind, name: role },
    subjects: [{ apiGroup: rbac, kind: 'Group', name: group }]
  }
}

function rules(list: readonly object[]): object {
  return { rules: list }
}

function spec(fields: object): object {
  return { spec: fields }
}
