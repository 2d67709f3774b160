// Keeps the lists fresh: the timeline arrives as server-sent events, and what it is about is read again, a moment
// later and at most so often, however much happens.

import type { NodeView } from '../contract/api.ts'
import type { TimelineEvent } from '../contract/event.ts'
import type { Machine } from '../contract/machine.ts'
import type { Notice } from '../contract/network.ts'
import * as api from './api.ts'

export interface Picture {
  readonly machines: readonly Machine[]
  readonly nodes: readonly NodeView[]
  readonly notices: readonly Notice[]
  /** The newest events, oldest first. */
  readonly events: readonly TimelineEvent[]
  readonly connected: boolean
}

export const nothingYet: Picture = { machines: [], nodes: [], notices: [], events: [], connected: false }

const REFRESH_MS = 300
/** Nodes and networks change without an event of ours. */
const NODES_EVERY_MS = 5_000
const EVENTS_KEPT = 300

/** Follows until the returned function is called. `show` is given each new picture, `fail` what ended it. */
export function follow(show: (picture: Picture) => void, fail: (error: unknown) => void): () => void {
  let picture = nothingYet
  let timer: ReturnType<typeof setTimeout> | null = null
  let ended = false
  const change = (part: Partial<Picture>): void => {
    picture = { ...picture, ...part }
    if (!ended) show(picture)
  }
  const refresh = async (): Promise<void> => {
    timer = null
    try {
      const [machines, nodes, notices] = await Promise.all([api.machines(), api.nodes(), api.notices()])
      change({ machines, nodes, notices })
    } catch (error) {
      fail(error)
    }
  }
  const soon = (): void => {
    timer ??= setTimeout(() => void refresh(), REFRESH_MS)
  }
  const source = new EventSource('/api/v1/watch')
  source.addEventListener('open', () => {
    change({ connected: true })
    soon() // what happened while nobody listened
  })
  source.addEventListener('error', () => {
    change({ connected: false })
    // The browser tries again by itself, but not after an answer that is no stream: a session that has ended.
    if (source.readyState === EventSource.CLOSED) void refresh()
  })
  source.addEventListener('timeline', message => {
    const event = JSON.parse(message.data) as TimelineEvent
    change({ events: [...picture.events, event].slice(-EVENTS_KEPT) })
    soon()
  })
  source.addEventListener('reset', soon)
  const regular = setInterval(soon, NODES_EVERY_MS)
  void refresh()
  return () => {
    ended = true
    source.close()
    clearInterval(regular)
    if (timer !== null) clearTimeout(timer)
  }
}
