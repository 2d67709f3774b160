// Our own Node, its pods and its Lease, asked for with the kubelet's own credential: only what that identity may do. A
// pod is never asked for by name: once it is gone the answer is 403, not 404.

import type { KubeClient } from '../../server/kubeapi/client.ts'
import { isKubeError } from '../../server/kubeapi/errors.ts'
import type { KubeLease, KubeNode, KubePod } from '../../server/kubeapi/objects.ts'
import { paths } from '../../server/kubeapi/paths.ts'
import { list } from '../../server/kubeapi/watch.ts'

/** A JSON merge patch (RFC 7386): null removes a key. */
export interface NodePatch {
  readonly metadata?: {
    /** Given: refused when somebody else changed the Node in between. */
    readonly resourceVersion?: string
    readonly labels?: Readonly<Record<string, string | null>>
    readonly annotations?: Readonly<Record<string, string | null>>
  }
  readonly spec?: { readonly unschedulable: boolean | null }
}

export interface NodeApi {
  /** Null when the cluster has no Node of that name. */
  readonly find: (signal: AbortSignal) => Promise<KubeNode | null>
  readonly patch: (patch: NodePatch, signal: AbortSignal) => Promise<void>
  readonly pods: (signal: AbortSignal) => Promise<readonly KubePod[]>
  /** Throws KubeError: 429 when a budget forbids it now, 404 when it is gone, 409 when another has its name now. */
  readonly evict: (pod: KubePod, signal: AbortSignal) => Promise<void>
  /** When the kubelet last renewed its Lease. */
  readonly renewedAt: (signal: AbortSignal) => Promise<Date | null>
}

export function createNodeApi(client: KubeClient, name: string): NodeApi {
  return {
    find: async signal => orNull(client.get<KubeNode>(paths.node(name), { signal })),
    patch: async (patch, signal) => {
      await client.patch(paths.node(name), patch, 'merge', { signal })
    },
    pods: async signal => {
      const { items } = await list<KubePod>(client, paths.allPods, { fieldSelector: `spec.nodeName=${name}` }, signal)
      return items
    },
    evict: async ({ metadata }, signal) => {
      const { namespace = '', name: pod, uid } = metadata
      const deleteOptions = { preconditions: { uid } }
      const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: pod, namespace }, deleteOptions }
      await client.create(paths.eviction(namespace, pod), eviction, { signal })
    },
    renewedAt: async signal => {
      const lease = await orNull(client.get<KubeLease>(paths.lease('kube-node-lease', name), { signal }))
      const at = lease?.spec?.renewTime
      return at === undefined ? null : new Date(at)
    }
  }
}

async function orNull<T>(result: Promise<T>): Promise<T | null> {
  try {
    return await result
  } catch (error) {
    if (isKubeError(error, 404)) return null
    throw error
  }
}
