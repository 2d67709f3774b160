// One watch: what happened since a version, then what happens, as lines of JSON; bookmarks while it is quiet.

import type { ServerResponse } from 'node:http'
import type { Change, Fields, ObjectStore, Stored } from './objects.ts'
import { expired, statusOf } from './refusal.ts'
import type { WatchRequest } from './requests.ts'
import { apiVersionOf } from './resources.ts'

/** A client that reads nothing is cut off, as the real server does when its buffer is full. */
const bufferedBytesMax = 64 * 1024 * 1024

/** Serves the watch on `response` until its time-out or the client's end. */
export function serveWatch(
  store: ObjectStore,
  request: WatchRequest,
  response: ServerResponse,
  bookmarkMs: number
): void {
  response.writeHead(200, { 'content-type': 'application/json' })
  const send = (type: string, object: Fields) => {
    response.write(`${JSON.stringify({ type, object })}\n`)
    if (response.writableLength > bufferedBytesMax) response.destroy()
  }
  const past = request.from === null ? [] : store.since(request.from)
  if (past === null) {
    send('ERROR', statusOf(expired(String(request.from))))
    response.end()
    return
  }
  if (request.from === null) for (const object of current(store, request)) send('ADDED', object)
  else response.flushHeaders()

  const tell = (change: Change) => {
    const type = typeFor(request, change)
    if (type !== null) send(type, type === 'DELETED' ? lastSeen(change) : change.object)
  }
  past.forEach(tell)
  const unsubscribe = store.subscribe(tell)
  const bookmark = () => {
    if (request.bookmarks) send('BOOKMARK', bookmarkOf(store, request))
  }
  const ticking = setInterval(bookmark, bookmarkMs)
  const { timeoutSeconds } = request
  const ending = timeoutSeconds === null ? undefined : setTimeout(() => response.end(), timeoutSeconds * 1000)
  response.on('close', () => {
    unsubscribe()
    clearInterval(ticking)
    clearTimeout(ending)
  })
}

function current(store: ObjectStore, { resource, namespace, match }: WatchRequest): Stored[] {
  return store.list(resource.plural, namespace).filter(match)
}

/**
 * An object that stops matching the selector is deleted, as far as this watch is concerned; one that starts is added.
 */
function typeFor({ resource, namespace, match }: WatchRequest, change: Change): Change['type'] | null {
  const { object, previous } = change
  if (change.resource !== resource.plural) return null
  if (namespace !== null && object.metadata.namespace !== namespace) return null
  const is = change.type !== 'DELETED' && match(object)
  const was = previous !== null && match(previous)
  return is ? (was ? 'MODIFIED' : 'ADDED') : was ? 'DELETED' : null
}

/** The state that matched, with the version of the change. */
function lastSeen({ object, previous }: Change): Stored {
  const { resourceVersion = '' } = object.metadata
  return previous === null ? object : { ...previous, metadata: { ...previous.metadata, resourceVersion } }
}

function bookmarkOf(store: ObjectStore, { resource }: WatchRequest): Fields {
  const metadata = { resourceVersion: String(store.version()), creationTimestamp: null }
  return { kind: resource.kind, apiVersion: apiVersionOf(resource), metadata }
}
