// Checks of the operator's documents: each by its schema, then by what a schema cannot say, then the set as a whole.
// Every problem is reported, with a path such as Profile/worker: spec.os.name. Reading texts is yaml.ts.

import {
  type AnyDocument,
  ClusterDocument,
  type Kind,
  MachineDocument,
  type Profile,
  ProfileDocument,
  RuleDocument
} from '../contract/document.ts'
import { API_VERSION } from '../contract/names.ts'
import type { Problem } from './fault.ts'
import { keysOf } from './identifiers.ts'
import { checkCluster, checkMachine, checkProfile, checkRule } from './profile-checks.ts'
import { type Check, compileSchema, nearest } from './schema.ts'

const checks: Record<Kind, Check> = {
  Profile: compileSchema(ProfileDocument),
  Rule: compileSchema(RuleDocument),
  Cluster: compileSchema(ClusterDocument),
  Machine: compileSchema(MachineDocument)
}
const kinds = Object.keys(checks) as Kind[]

/** The documents, in the order given; or every problem of all of them. Nothing is changed or filled in. */
export function checkDocuments(
  raws: readonly unknown[]
): { documents: readonly AnyDocument[] } | { problems: readonly Problem[] } {
  const problems = [...raws.flatMap(checkOne), ...findTwins(raws)]
  return problems.length > 0 ? { problems } : { documents: raws as readonly AnyDocument[] }
}

function checkOne(raw: unknown, index: number): readonly Problem[] {
  const place = placeOf(raw, index)
  const within = ({ path, message }: Problem) => ({ path: path === '' ? place : `${place}: ${path}`, message })
  if (!isRecord(raw)) return [{ path: place, message: 'must be a mapping with apiVersion, kind, metadata and spec' }]
  if (raw.apiVersion !== API_VERSION) return [within({ path: 'apiVersion', message: `must be ${API_VERSION}` })]
  const kind = kinds.find(name => name === raw.kind)
  if (kind === undefined) return [within({ path: 'kind', message: unknownKind(raw.kind) })]
  const problems = checks[kind](raw)
  // What follows takes the shape for granted.
  return (problems.length > 0 ? problems : checkMeaning(raw as unknown as AnyDocument)).map(within)
}

function checkMeaning(document: AnyDocument): readonly Problem[] {
  switch (document.kind) {
    case 'Profile':
      return checkProfile(document.spec)
    case 'Rule':
      return checkRule(document.spec)
    case 'Cluster':
      return checkCluster(document.spec)
    case 'Machine':
      return checkMachine(document.spec)
  }
}

function unknownKind(kind: unknown): string {
  const near = typeof kind === 'string' ? nearest(kind, kinds) : null
  return near === null ? `must be one of ${kinds.join(', ')}` : `is unknown; did you mean ${near}?`
}

function findTwins(raws: readonly unknown[]): readonly Problem[] {
  const places = raws.map((raw, index) => (nameOf(raw) === null ? null : placeOf(raw, index)))
  const twins = places.filter((place, index) => place !== null && places.indexOf(place) !== index)
  return [...new Set(twins)].map(place => ({ path: place!, message: 'is given more than once' }))
}

function placeOf(raw: unknown, index: number): string {
  const name = nameOf(raw)
  const kind = isRecord(raw) ? kinds.find(known => known === raw.kind) : undefined
  return name === null || kind === undefined ? `document ${index + 1}` : `${kind}/${name}`
}

/** Only a name that can be printed. */
function nameOf(raw: unknown): string | null {
  if (!isRecord(raw) || !isRecord(raw.metadata)) return null
  const { name } = raw.metadata
  return typeof name === 'string' && /^[A-Za-z0-9._-]{1,63}$/.test(name) ? name : null
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What a set of checked documents must agree on: names that are referred to exist, versions and addresses fit. */
export function checkReferences(all: readonly AnyDocument[]): readonly Problem[] {
  const profiles = namesOf(all, 'Profile')
  const problems = all.flatMap(document => {
    const place = `${document.kind}/${document.metadata.name}`
    if (document.kind === 'Rule') return missing(`${place}: spec.profile`, 'Profile', document.spec.profile, profiles)
    if (document.kind === 'Profile') return checkClusterOf(document, place, all)
    if (document.kind === 'Machine' && document.spec.profile !== undefined) {
      return missing(`${place}: spec.profile`, 'Profile', document.spec.profile, profiles)
    }
    return []
  })
  return [...problems, ...findShared(all)]
}

function checkClusterOf({ spec }: Profile, place: string, all: readonly AnyDocument[]): readonly Problem[] {
  const { cluster: name, version } = spec.kubernetes
  const cluster = all.find(document => document.kind === 'Cluster' && document.metadata.name === name)
  if (cluster?.kind !== 'Cluster') {
    return missing(`${place}: spec.kubernetes.cluster`, 'Cluster', name, namesOf(all, 'Cluster'))
  }
  if (minor(version) <= minor(cluster.spec.version)) return []
  const newer = `${version} is newer than cluster ${name} (${cluster.spec.version})`
  const message = `${newer}; a kubelet must not be newer than its API server`
  return [{ path: `${place}: spec.kubernetes.version`, message }]
}

function minor(version: string): number {
  return Number(version.split('.')[1])
}

function missing(path: string, kind: Kind, name: string, known: readonly string[]): readonly Problem[] {
  if (known.includes(name)) return []
  const near = nearest(name, known)
  const remedy = near === null ? `apply a ${kind} of that name as well` : `did you mean ${near}?`
  return [{ path, message: `there is no ${kind} ${name}; ${remedy}` }]
}

function namesOf(all: readonly AnyDocument[], kind: Kind): readonly string[] {
  return all.filter(document => document.kind === kind).map(document => document.metadata.name)
}

/** An identifier and a network address belong to one machine. */
function findShared(all: readonly AnyDocument[]): readonly Problem[] {
  const owners = new Map<string, string>()
  return all.flatMap(document => {
    if (document.kind !== 'Machine') return []
    const { name } = document.metadata
    const { address } = document.spec
    const keys = [...keysOf(document.spec), ...(address === undefined ? [] : [address])]
    return keys.flatMap(key => {
      const owner = owners.get(key)
      owners.set(key, owner ?? name)
      if (owner === undefined || owner === name) return []
      return [{ path: `Machine/${name}: spec`, message: `${key} is already Machine/${owner}'s` }]
    })
  })
}
