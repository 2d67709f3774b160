// Wakes the loop when the label that asks for a version changes on our own Node, so that an upgrade does not wait for
// the next poll. Only a hint: the loop looks for itself, and a watch that fails costs a poll interval.

import { MIRRORED_VERSION } from '../../server/contract/names.ts'
import type { KubeClient } from '../../server/kubeapi/client.ts'
import type { KubeNode } from '../../server/kubeapi/objects.ts'
import { paths } from '../../server/kubeapi/paths.ts'
import { watch } from '../../server/kubeapi/watch.ts'

export interface NodeWatch {
  /** Follows the Node of that name from now on; null: none. */
  readonly follow: (name: string | null) => void
}

export function createNodeWatch(
  client: KubeClient,
  wake: () => void,
  failed: (error: unknown) => void,
  signal: AbortSignal
): NodeWatch {
  let followed: string | null = null
  let stop = new AbortController()
  return {
    follow: name => {
      if (name === followed) return
      stop.abort()
      stop = new AbortController()
      followed = name
      if (name !== null) watchNode(client, name, wake, failed, AbortSignal.any([signal, stop.signal])).catch(failed)
    }
  }
}

async function watchNode(
  client: KubeClient,
  name: string,
  wake: () => void,
  failed: (error: unknown) => void,
  signal: AbortSignal
): Promise<void> {
  let asked: string | undefined
  const look = (node: KubeNode) => {
    const now = node.metadata.labels?.[MIRRORED_VERSION]
    if (now !== asked) wake()
    asked = now
  }
  await watch<KubeNode>(
    client,
    paths.nodes,
    { fieldSelector: `metadata.name=${name}` },
    {
      handle: event => {
        if (event.type === 'listed') event.items.forEach(look)
        else look(event.object)
      },
      failed
    },
    signal
  )
}
