// The three kinds of patch: JSON merge patch (RFC 7386), JSON patch (RFC 6902: add, remove, replace, test), and
// Kubernetes' strategic merge, which merges some lists by a key. Not here: server-side apply, $retainKeys, moves and
// copies.

import { array, isFields, text } from './fields.ts'
import type { Fields, Json, Stored } from './objects.ts'
import { sameJson } from './objects.ts'
import { badRequest, Refusal } from './refusal.ts'

export function applyPatch(object: Stored, contentType: string, patch: Json): Stored {
  switch (contentType.split(';')[0]) {
    case 'application/merge-patch+json':
      return mergePatch(object, fields(patch)) as Stored
    case 'application/strategic-merge-patch+json':
      return strategic(object, fields(patch), '') as Stored
    case 'application/json-patch+json':
      return jsonPatch(object, patch) as Stored
    default:
      throw new Refusal(415, 'UnsupportedMediaType', `the body of the request was in an unknown format: ${contentType}`)
  }
}

function mergePatch(target: Json | undefined, patch: Fields): Fields {
  const merged: Fields = isFields(target) ? { ...target } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null || value === undefined) delete merged[key]
    else merged[key] = isFields(value) ? mergePatch(merged[key], value) : value
  }
  return merged
}

/** Lists with a patchMergeKey in core/v1 and policy/v1; all others are replaced whole (taints, CSR conditions). */
const mergeKeys: Readonly<Record<string, string>> = {
  '.metadata.ownerReferences': 'uid',
  '.spec.containers': 'name',
  '.spec.initContainers': 'name',
  '.spec.volumes': 'name',
  '.status.addresses': 'type',
  '.status.conditions': 'type'
}

function strategic(target: Json | undefined, patch: Fields, path: string): Fields {
  if (patch['$patch'] === 'replace') return without(patch, '$patch')
  const merged: Fields = isFields(target) ? { ...target } : {}
  for (const [key, value] of Object.entries(patch)) {
    const below = `${path}.${key}`
    const primitives = /^\$deleteFromPrimitiveList\/(.+)$/.exec(key)
    if (primitives !== null) removePrimitives(merged, primitives[1] ?? '', value)
    else if (key.startsWith('$')) continue // directives about order change nothing that we keep
    else if (value === null || value === undefined) delete merged[key]
    else merged[key] = strategicValue(merged[key], value, below)
  }
  return merged
}

function strategicValue(target: Json | undefined, value: Json, path: string): Json {
  if (isFields(value)) return strategic(target, value, path)
  if (!Array.isArray(value)) return value
  if (path === '.metadata.finalizers') return [...new Set([...array(target), ...value])]
  const mergeKey = mergeKeys[path]
  return mergeKey === undefined ? value : mergeList(array(target), value, mergeKey, path)
}

function mergeList(target: readonly Json[], items: readonly Json[], mergeKey: string, path: string): Json[] {
  const merged = [...target]
  for (const item of items.filter(isFields)) {
    const at = merged.findIndex(existing => isFields(existing) && existing[mergeKey] === item[mergeKey])
    if (item['$patch'] === 'delete') {
      if (at >= 0) merged.splice(at, 1)
    } else if (at >= 0) merged[at] = strategic(merged[at], item, path)
    else merged.push(item)
  }
  return merged
}

function removePrimitives(merged: Fields, key: string, value: Json | undefined): void {
  const gone = array(value)
  merged[key] = array(merged[key]).filter(item => !gone.includes(item))
}

function jsonPatch(object: Stored, patch: Json): Json {
  if (!Array.isArray(patch)) throw badRequest('a JSON patch is a list of operations')
  return patch.filter(isFields).reduce<Json>(operate, object)
}

function operate(document: Json, { op, path, value }: Fields): Json {
  const keys = text(path)
    .split('/')
    .slice(1)
    .map(key => key.replaceAll('~1', '/').replaceAll('~0', '~'))
  if (!['add', 'remove', 'replace', 'test'].includes(text(op))) throw unprocessable(`unexpected op ${text(op)}`)
  return edit(document, keys, text(op), value ?? null)
}

function edit(document: Json, [key = '', ...rest]: readonly string[], op: string, value: Json): Json {
  if (Array.isArray(document)) return editList(document, key, rest, op, value)
  if (!isFields(document)) throw unprocessable('the path leads nowhere')
  const { [key]: child, ...others } = document
  if (rest.length > 0) return { ...document, [key]: edit(child ?? null, rest, op, value) }
  if (child === undefined && op !== 'add') throw unprocessable('the path leads nowhere')
  if (op === 'test' && !sameJson(child, value)) throw unprocessable('testing value failed')
  return op === 'remove' ? others : op === 'test' ? document : { ...document, [key]: value }
}

function editList(list: readonly Json[], key: string, rest: readonly string[], op: string, value: Json): Json {
  const at = key === '-' ? list.length : Number(key)
  const child = list[at]
  if (!Number.isInteger(at) || at > list.length || (child === undefined && op !== 'add')) {
    throw unprocessable('the path leads nowhere')
  }
  if (rest.length > 0) return list.with(at, edit(child ?? null, rest, op, value))
  if (op === 'test' && !sameJson(child, value)) throw unprocessable('testing value failed')
  if (op === 'add') return list.toSpliced(at, 0, value)
  return op === 'remove' ? list.toSpliced(at, 1) : op === 'replace' ? list.with(at, value) : [...list]
}

function unprocessable(why: string): Refusal {
  return new Refusal(422, 'Invalid', `the server rejected our request due to an error in our request: ${why}`)
}

function without(patch: Fields, key: string): Fields {
  const { [key]: _, ...rest } = patch
  return rest
}

function fields(patch: Json): Fields {
  if (!isFields(patch)) throw badRequest('a merge patch is an object')
  return patch
}
