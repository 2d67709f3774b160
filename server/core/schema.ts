// JSON Schema (2020-12) by ajv, strict, with every problem as a path and a sentence for a person.
// Nothing is coerced, filled in or dropped.

import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import type { Problem } from './fault.ts'

/** All of a thing's problems; none when it fits. `T` is what the schema describes. */
export type Check = (value: unknown) => readonly Problem[]

/** More would not be read; and it bounds what allErrors may collect from a hostile input. */
const PROBLEMS_MAX = 100

export function compileSchema(schema: object): Check {
  // verbose: the messages below look at the schema's own part. strictTypes is about unions of types, which are ours.
  const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true, verbose: true })
  addFormats.default(ajv)
  const validate = ajv.compile(schema)
  return value => {
    if (validate(value)) return []
    const found = (validate.errors ?? []).filter(isCause).map(problemOf)
    const once = new Map(found.map(problem => [`${problem.path}\n${problem.message}`, problem]))
    return [...once.values()].slice(0, PROBLEMS_MAX)
  }
}

/** anyOf repeats what its branches said; "or null" would add "must be null" to every other message. */
function isCause({ keyword, schema }: ErrorObject): boolean {
  return keyword !== 'anyOf' && !(keyword === 'type' && schema === 'null')
}

function problemOf(error: ErrorObject): Problem {
  const { keyword, params, parentSchema = {}, instancePath } = error
  const path = dotted(instancePath)
  switch (keyword) {
    case 'additionalProperties': {
      const key = String(params.additionalProperty)
      return { path: joined(path, key), message: unknownKey(key, Object.keys(parentSchema.properties ?? {})) }
    }
    case 'required':
      return { path: joined(path, String(params.missingProperty)), message: 'is missing' }
    case 'enum':
      return { path, message: `must be ${oneOf((parentSchema.enum ?? []) as unknown[])}` }
    case 'const':
      return { path, message: `must be ${JSON.stringify(params.allowedValue)}` }
    case 'type':
      return { path, message: `must be ${article(String(params.type))}` }
    case 'pattern':
      return {
        path,
        message: `${show(error.data)} does not fit: ${parentSchema.description ?? `must match ${params.pattern}`}`
      }
    case 'format':
      return { path, message: `${show(error.data)} is not a valid ${params.format}` }
    default:
      return { path, message: error.message ?? keyword }
  }
}

/** Says which key was probably meant. */
export function unknownKey(key: string, known: readonly string[]): string {
  const near = nearest(key, known)
  if (near !== null) return `is unknown; did you mean ${near}?`
  return known.length === 0 ? 'is unknown' : `is unknown; known here: ${known.toSorted().join(', ')}`
}

/** The known word within two changes (one for short words); null when none is that near. */
export function nearest(word: string, known: readonly string[]): string | null {
  const text = word.slice(0, 64).toLowerCase()
  const [best] = known
    .map(name => ({ name, changes: distance(text, name.toLowerCase()) }))
    .toSorted((a, b) => a.changes - b.changes)
  const most = text.length < 4 ? 1 : 2
  return best !== undefined && best.changes <= most ? best.name : null
}

/** Levenshtein's distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (const [i, letter] of Array.from(a).entries()) {
    const next = [i + 1]
    for (const [j, other] of Array.from(b).entries()) {
      next.push(Math.min(next[j]! + 1, row[j + 1]! + 1, row[j]! + (letter === other ? 0 : 1)))
    }
    row = next
  }
  return row.at(-1)!
}

/** /dhcp/subnets/0/pool becomes dhcp.subnets[0].pool (RFC 6901 escapes undone). */
function dotted(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce(joined, '')
}

/** A path with one more step; keys that are no plain words are quoted, control characters escaped. */
export function joined(path: string, key: string): string {
  if (/^\d+$/.test(key)) return `${path}[${key}]`
  if (!/^[A-Za-z_][A-Za-z0-9_-]*$/.test(key)) return `${path}[${show(key)}]`
  return path === '' ? key : `${path}.${key}`
}

function show(value: unknown): string {
  const text = (JSON.stringify(value) ?? 'nothing').replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escaped)
  return text.length > 80 ? `${text.slice(0, 77)}…"` : text
}

/** JSON leaves what breaks or turns a line beyond ASCII as it is. */
function escaped(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`
}

function oneOf(values: readonly unknown[]): string {
  return values.map(String).join(' or ')
}

function article(type: string): string {
  const words: Record<string, string> = {
    object: 'a mapping',
    array: 'a list',
    string: 'text',
    integer: 'a whole number'
  }
  return words[type] ?? (type === 'boolean' ? 'true or false' : `a ${type}`)
}
