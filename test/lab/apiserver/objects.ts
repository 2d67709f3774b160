// The objects of the simulated cluster: kept in memory, versioned by one counter, with a bounded history for watches.
// Knows nothing of HTTP, rights or what the fields mean.

import { randomUUID } from 'node:crypto'

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json | undefined }
export type Fields = { [key: string]: Json | undefined }

export interface Metadata extends Fields {
  name: string
  namespace?: string
  uid?: string
  resourceVersion?: string
  generation?: number
  labels?: { [key: string]: string }
  annotations?: { [key: string]: string }
  deletionTimestamp?: string
  deletionGracePeriodSeconds?: number
  finalizers?: string[]
}

export interface Stored extends Fields {
  apiVersion: string
  kind: string
  metadata: Metadata
}

export interface Change {
  readonly version: number
  /** Plural, e.g. nodes. */
  readonly resource: string
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: Stored
  readonly previous: Stored | null
}

export interface ObjectStore {
  version(): number
  find(resource: string, namespace: string | null, name: string): Stored | null
  /** In order of namespace and name; null namespace: all. */
  list(resource: string, namespace?: string | null): Stored[]
  /** Writes a new object, or a new state of it; unchanged content keeps its version. Returns what is stored. */
  put(resource: string, object: Stored): Stored
  remove(resource: string, object: Stored): Stored
  /** Changes after a version; null when the history no longer reaches back that far. */
  since(version: number): readonly Change[] | null
  subscribe(listener: (change: Change) => void): () => void
}

const historyMaxDefault = 5000

export function createObjectStore(now: () => Date, historyMax = historyMaxDefault): ObjectStore {
  const objects = new Map<string, Stored>()
  const listeners = new Set<(change: Change) => void>()
  let history: Change[] = []
  let version = 100

  function record(resource: string, type: Change['type'], object: Stored, previous: Stored | null): Stored {
    const change: Change = { version, resource, type, object, previous }
    history.push(change)
    if (history.length > historyMax * 2) history = history.slice(-historyMax)
    for (const listener of listeners) listener(change)
    return object
  }

  return {
    version: () => version,
    find: (resource, namespace, name) => objects.get(keyOf(resource, namespace, name)) ?? null,
    list: (resource, namespace = null) =>
      [...objects.entries()]
        .filter(([key]) => key.startsWith(namespace === null ? `${resource}/` : `${resource}/${namespace}/`))
        .sort(([left], [right]) => (left < right ? -1 : 1))
        .map(([, object]) => object),
    put(resource, object) {
      const key = keyOf(resource, object.metadata.namespace ?? null, object.metadata.name)
      const previous = objects.get(key) ?? null
      if (previous !== null && unchanged(previous, object)) return previous
      version += 1
      const stored = freeze(previous === null ? born(object, version, now()) : stamped(object, version))
      objects.set(key, stored)
      return record(resource, previous === null ? 'ADDED' : 'MODIFIED', stored, previous)
    },
    remove(resource, object) {
      objects.delete(keyOf(resource, object.metadata.namespace ?? null, object.metadata.name))
      version += 1
      return record(resource, 'DELETED', freeze(stamped(object, version)), object)
    },
    since(from) {
      const oldest = history[0]?.version ?? version + 1
      // Nothing is lost while the first change kept is the next one, or nothing was ever dropped.
      return from < oldest - 1 ? null : history.filter(change => change.version > from)
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    }
  }
}

/** Keys of one resource sort by namespace, then name, as in etcd. */
function keyOf(resource: string, namespace: string | null, name: string): string {
  return `${resource}/${namespace ?? ''}/${name}`
}

function born(object: Stored, version: number, now: Date): Stored {
  const created = { uid: randomUUID(), creationTimestamp: now.toISOString().replace(/\.\d+Z$/, 'Z') }
  return stamped({ ...object, metadata: { ...object.metadata, ...created } }, version)
}

function stamped(object: Stored, version: number): Stored {
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } }
}

function unchanged(previous: Stored, next: Stored): boolean {
  const { resourceVersion = '' } = previous.metadata
  return sameJson(previous, { ...next, metadata: { ...next.metadata, resourceVersion } })
}

/** Equality of JSON, whatever the order of keys. */
export function sameJson(left: Json | undefined, right: Json | undefined): boolean {
  return canonical(left) === canonical(right)
}

function canonical(value: Json | undefined): string {
  return JSON.stringify(value ?? null, (_, item: Json) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item
  )
}

/** Stored objects are shared with every reader. */
function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    Object.values(value).forEach(freeze)
  }
  return value
}
