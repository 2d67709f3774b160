// Whether an upgrade has happened: all of it must hold, and the first thing that does not is said. The version on the
// disk proves nothing about the process that runs; a Node that is Ready proves nothing about the last minute. Pure.

import type { KubeNode } from '../../server/kubeapi/objects.ts'

export interface Evidence {
  /** From the running process itself. */
  readonly running: string | null
  /** Null: the API server cannot be asked now. */
  readonly node: KubeNode | null
  readonly leaseRenewedAt: Date | null
  readonly restartedAt: Date
}

/** Why it cannot be called done yet, in a sentence; null when all is proven. */
export function findDoubt({ running, node, leaseRenewedAt, restartedAt }: Evidence, version: string): string | null {
  if (running === null) return 'the kubelet does not run'
  if (running !== version) return `the running kubelet is ${running}`
  if (node === null) return 'the API server cannot be asked'
  const said = node.status?.nodeInfo?.kubeletVersion
  if (said !== version) return `the Node still says ${said ?? 'nothing'}`
  if (leaseRenewedAt === null || leaseRenewedAt <= restartedAt) return 'the kubelet has not renewed its Lease since'
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready')
  if (ready?.status === 'True') return null
  return `the Node is not Ready: ${ready?.message ?? 'it has not said why'}`.slice(0, 300)
}
