// List, then watch for ever: pages, resumes at the last resourceVersion (bookmarks move it on a quiet resource),
// relists after 410, waits longer after each failure, and ends only with its signal.
//
//   list ── items ──► watch ── EOF, reset ──► watch again from the last version
//     ▲                 │
//     └──── 410 Gone ───┘
//
// A quiet watch is ended by the server after timeoutSeconds (random 290–580, so that a fleet does not return at once)
// and by us a little later, should the connection have died without a word.

import { StringDecoder } from 'node:string_decoder'
import { setTimeout as wait } from 'node:timers/promises'
import type { KubeClient } from './client.ts'
import { isKubeError, kubeErrorOfStatus } from './errors.ts'
import type { KubeList, KubeObject } from './objects.ts'
import type { Query } from './paths.ts'

export type WatchEvent<T> =
  /** The whole state, after every (re)list: what is not in it is gone. */
  | { readonly type: 'listed'; readonly items: readonly T[] }
  | { readonly type: 'added' | 'modified' | 'deleted'; readonly object: T }

export interface WatchDeps<T> {
  /** Awaited: a slow reader slows the stream instead of filling memory. */
  readonly handle: (event: WatchEvent<T>) => void | Promise<void>
  /** Called before each wait; the watch goes on by itself. */
  readonly failed: (error: unknown, failures: number) => void
  readonly random?: () => number
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>
}

export interface WatchOptions<T> {
  readonly fieldSelector?: string
  readonly labelSelector?: string
  /** Keeps only what the caller needs of each object, before the next page is read. */
  readonly pick?: (object: KubeObject) => T
}

const pageSize = 500
const lineCharactersMax = 16 * 1024 * 1024
const overrunMs = 30_000
const backoffMs = 1000
const backoffMaxMs = 30_000
// A server that ends every watch at once must not be asked in a tight loop.
const shortStreamMs = 1000

/** Runs until `signal` aborts, then resolves. Only an error thrown by `handle` ends it otherwise. */
export async function watch<T = KubeObject>(
  client: KubeClient,
  path: string,
  options: WatchOptions<T>,
  deps: WatchDeps<T>,
  signal: AbortSignal
): Promise<void> {
  const random = deps.random ?? Math.random
  const sleep = deps.sleep ?? (async (ms, aborted) => wait(ms, undefined, { signal: aborted }))
  let version: string | null = null
  let failures = 0
  while (!signal.aborted) {
    const round: Round = { version, progressed: false, handling: false }
    try {
      if (round.version === null) await listInto(round, client, path, options, deps.handle, signal)
      await follow(round, client, path, options, deps.handle, random(), signal)
      failures = 0
      version = round.version
    } catch (error) {
      if (signal.aborted) return
      if (round.handling) throw error
      version = isKubeError(error, 410) ? null : round.version
      failures = (round.progressed ? 0 : failures) + 1
      deps.failed(error, failures)
      await sleep(backoff(failures, random()), signal).catch(ignoreAbort(signal))
    }
  }
}

/** Reads all pages of a list. */
export async function list<T = KubeObject>(
  client: KubeClient,
  path: string,
  { fieldSelector, labelSelector, pick }: WatchOptions<T> = {},
  signal?: AbortSignal
): Promise<{ items: T[]; resourceVersion: string }> {
  const items: T[] = []
  let next: string | undefined
  for (;;) {
    const query: Query = { fieldSelector, labelSelector, limit: pageSize, continue: next }
    const page: KubeList = await client.get(path, { query, ...(signal !== undefined && { signal }) })
    for (const object of page.items) items.push(pick === undefined ? (object as T) : pick(object))
    next = page.metadata.continue === '' ? undefined : page.metadata.continue
    if (next === undefined) return { items, resourceVersion: page.metadata.resourceVersion }
  }
}

interface Round {
  version: string | null
  /** Something arrived: the next failure is a first one again. */
  progressed: boolean
  /** The caller's own code is running: what it throws is its bug, not a failed watch. */
  handling: boolean
}

type Handle<T> = WatchDeps<T>['handle']

async function deliver<T>(round: Round, handle: Handle<T>, event: WatchEvent<T>): Promise<void> {
  round.handling = true
  await handle(event)
  round.handling = false
}

async function listInto<T>(
  round: Round,
  client: KubeClient,
  path: string,
  options: WatchOptions<T>,
  handle: Handle<T>,
  signal: AbortSignal
): Promise<void> {
  const { items, resourceVersion } = await list(client, path, options, signal)
  await deliver(round, handle, { type: 'listed', items })
  round.version = resourceVersion
  round.progressed = true
}

async function follow<T>(
  round: Round,
  client: KubeClient,
  path: string,
  options: WatchOptions<T>,
  handle: Handle<T>,
  random: number,
  signal: AbortSignal
): Promise<void> {
  const timeoutSeconds = 290 + Math.floor(290 * random)
  const overrun = AbortSignal.timeout(timeoutSeconds * 1000 + overrunMs)
  const started = performance.now()
  const stream = await client.stream(path, {
    query: {
      watch: 1,
      allowWatchBookmarks: true,
      resourceVersion: round.version ?? undefined,
      timeoutSeconds,
      fieldSelector: options.fieldSelector,
      labelSelector: options.labelSelector
    },
    signal: AbortSignal.any([signal, overrun])
  })
  try {
    for await (const line of lines(stream as AsyncIterable<Buffer>)) {
      await take(round, JSON.parse(line) as WireEvent, options, handle)
    }
  } finally {
    stream.destroy()
  }
  if (performance.now() - started < shortStreamMs && !round.progressed) throw new Error('the watch ended at once')
}

interface WireEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  readonly object: KubeObject
}

const types = { ADDED: 'added', MODIFIED: 'modified', DELETED: 'deleted' } as const

async function take<T>(
  round: Round,
  { type, object }: WireEvent,
  { pick }: WatchOptions<T>,
  handle: Handle<T>
): Promise<void> {
  if (type === 'ERROR') throw kubeErrorOfStatus(object)
  if (type !== 'BOOKMARK') {
    await deliver(round, handle, {
      type: types[type],
      object: pick === undefined ? (object as unknown as T) : pick(object)
    })
  }
  round.version = object.metadata.resourceVersion ?? round.version
  round.progressed = true
}

async function* lines(stream: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  for await (const chunk of stream) {
    const parts = (rest + decoder.write(chunk)).split('\n')
    rest = parts.pop() ?? ''
    if (rest.length > lineCharactersMax) throw new Error('a watch event is larger than 16 MiB')
    for (const part of parts) if (part !== '') yield part
  }
}

/** 1, 2, 4 … 30 s, each times 0.5–1.5. */
export function backoff(failures: number, random: number): number {
  return Math.round(Math.min(backoffMs * 2 ** (failures - 1), backoffMaxMs) * (0.5 + random))
}

function ignoreAbort(signal: AbortSignal): (error: unknown) => void {
  return error => {
    if (!signal.aborted) throw error
  }
}
