// Contract rows about watches: what they tell, how they resume, what ends them.

import type { KubeClient } from '../../server/kubeapi/client.ts'
import { KubeError } from '../../server/kubeapi/errors.ts'
import type { KubeObject } from '../../server/kubeapi/objects.ts'
import { watch, type WatchEvent } from '../../server/kubeapi/watch.ts'
import { map, maps, put, type Row } from './objects.ts'
import { eventually } from './targets.ts'

export const watchRows: readonly Row[] = [
  {
    name: 'a watch tells what was added, changed and deleted, and what left its selector',
    async run(t, { admin }) {
      await put(admin, 'seen-0', {}, { seen: 'yes' })
      await followed(admin, 'seen=yes', async saw => {
        await saw('listed seen-0')
        await put(admin, 'seen-1', {}, { seen: 'yes' })
        await saw('added seen-1')
        await admin.patch(map('seen-1'), { data: { a: '1' } }, 'merge')
        await saw('modified seen-1')
        await admin.patch(map('seen-1'), { metadata: { labels: { seen: 'no' } } }, 'merge')
        await saw('deleted seen-1')
        await admin.patch(map('seen-1'), { metadata: { labels: { seen: 'yes' } } }, 'merge')
        await saw('added seen-1')
        await admin.delete(map('seen-1'))
        await saw('deleted seen-1')
      })
      t.pass('all of it, in order')
    }
  },
  {
    name: 'a watch resumes at a version without repeating, and ends at its time-out',
    async run(t, { admin }) {
      const before = await put(admin, 'resume-1')
      await put(admin, 'resume-2')
      const events = await raw(admin, {
        resourceVersion: before.metadata.resourceVersion,
        allowWatchBookmarks: true,
        timeoutSeconds: 1,
        fieldSelector: 'metadata.namespace=default'
      })
      t.strictSame([events[0]?.type, events[0]?.object.metadata.name], ['ADDED', 'resume-2'])
      t.notOk(events.some(({ type, object }) => type === 'ADDED' && object.metadata.name === 'resume-1'))
    }
  },
  {
    name: 'a version long gone is answered by an ERROR event, 410 Expired',
    async run(t, { admin }) {
      const [event] = await raw(admin, { resourceVersion: '1', timeoutSeconds: 1 })
      t.match(event, { type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } })
    }
  }
]

interface Wire {
  readonly type: string
  readonly object: KubeObject
}

async function raw(admin: KubeClient, query: Record<string, string | number | boolean | undefined>): Promise<Wire[]> {
  const { signal } = new AbortController()
  const stream = await admin.stream(maps, { query: { watch: 1, ...query }, signal })
  let text = ''
  for await (const chunk of stream) text += String(chunk)
  return text
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as Wire)
}

/** Runs our own watch beside `script`, which waits for what it should have seen next. */
async function followed(
  admin: KubeClient,
  labelSelector: string,
  script: (saw: (event: string) => Promise<void>) => Promise<void>
): Promise<void> {
  const ending = new AbortController()
  const seen: string[] = []
  const handle = (event: WatchEvent<KubeObject>) => {
    if (event.type === 'listed') for (const { metadata } of event.items) seen.push(`listed ${metadata.name}`)
    else seen.push(`${event.type} ${event.object.metadata.name}`)
  }
  const failed = (error: unknown) => {
    if (!(error instanceof KubeError)) throw error
  }
  const watching = watch(admin, maps, { labelSelector }, { handle, failed }, ending.signal)
  try {
    await script(async event => {
      const next = await eventually(async () => seen.shift() ?? null)
      if (next !== event) throw new Error(`want ${event}, saw ${next}`)
    })
  } finally {
    ending.abort()
    await watching
  }
}
