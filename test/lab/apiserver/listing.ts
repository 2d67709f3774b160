// Lists in pages: the continue token holds the version of the first page and the last object given.

import type { Fields, ObjectStore, Stored } from './objects.ts'
import { badRequest, expired } from './refusal.ts'
import { apiVersionOf, type Resource } from './resources.ts'
import type { Match } from './selectors.ts'

/**
 * One page as a List object. Later pages show objects as they are now, not as they were at the first page's version;
 * a watch from that version tells of every change between, so a client ends with the truth all the same.
 */
export function listPage(
  store: ObjectStore,
  resource: Resource,
  namespace: string | null,
  match: Match,
  query: URLSearchParams
): Fields {
  const next = continueOf(query.get('continue'))
  const version = next?.version ?? store.version()
  if (store.since(version) === null && next !== null) throw expired(String(version))
  const matching = store.list(resource.plural, namespace).filter(match)
  const rest = next === null ? matching : matching.filter(object => keyOf(object) > next.after)
  const limit = Number(query.get('limit') ?? 0)
  const page = limit > 0 ? rest.slice(0, limit) : rest
  const last = page.at(-1)
  const metadata: Fields = { resourceVersion: String(version) }
  if (last !== undefined && page.length < rest.length) {
    metadata['continue'] = Buffer.from(JSON.stringify({ version, after: keyOf(last) })).toString('base64url')
    metadata['remainingItemCount'] = rest.length - page.length
  }
  const items = page.map(item => ({ ...item, apiVersion: undefined, kind: undefined })) // only the list says it
  return { kind: `${resource.kind}List`, apiVersion: apiVersionOf(resource), metadata, items }
}

function keyOf({ metadata }: Stored): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`
}

function continueOf(token: string | null): { version: number; after: string } | null {
  if (token === null || token === '') return null
  try {
    const { version, after } = JSON.parse(Buffer.from(token, 'base64url').toString()) as Fields
    if (typeof version === 'number' && typeof after === 'string') return { version, after }
  } catch (error) {
    throw badRequest(`continue key is not valid: ${(error as Error).message}`)
  }
  throw badRequest('continue key is not valid')
}
