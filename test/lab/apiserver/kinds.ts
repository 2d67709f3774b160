// What each kind does to an object before it is stored: defaults, what a client may not write, what is refused.
// After the strategies of pkg/registry, for our subset.

import { randomBytes } from 'node:crypto'
import { readCertificateRequest } from '../../../server/kube/csr.ts'
import { at, isFields, requestPem, text } from './fields.ts'
import { type Fields, type Json, sameJson, type Stored } from './objects.ts'
import { badRequest, conflict, invalid } from './refusal.ts'
import { apiVersionOf, qualified, type Resource } from './resources.ts'
import type { User } from './users.ts'

/** The object as a POST would store it. */
export function prepareCreate(resource: Resource, namespace: string | null, body: Json, user: User): Stored {
  const given = asObject(resource, body)
  if (namespace !== null && (given.metadata.namespace ?? namespace) !== namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
  }
  const { generateName } = given.metadata
  const name =
    given.metadata.name ??
    (typeof generateName === 'string' ? `${generateName}${randomBytes(4).toString('hex').slice(0, 5)}` : '')
  const metadata = { ...given.metadata, name, ...(namespace !== null && { namespace }) }
  delete metadata.resourceVersion
  const object = defaults[resource.plural]?.({ ...given, metadata }, user) ?? { ...given, metadata }
  validate(resource, object)
  return object
}

/**
 * The object as a PUT or PATCH of `next` over `old` would store it, with what that (sub)resource does not own taken
 * from `old`.
 */
export function prepareUpdate(resource: Resource, subresource: string | null, old: Stored, next: Stored): Stored {
  const { name, uid, resourceVersion } = next.metadata
  const what = qualified(resource)
  if (name !== old.metadata.name) throw badRequest('the name of the object does not match the name on the URL')
  if (uid !== undefined && uid !== old.metadata.uid)
    throw conflict(what, name, 'the UID in the precondition does not match')
  if (resourceVersion !== undefined && resourceVersion !== old.metadata.resourceVersion) throw conflict(what, name)
  const kept = [
    'uid',
    'creationTimestamp',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'generation',
    'namespace'
  ]
  const fixed = Object.fromEntries(kept.flatMap(key => (key in old.metadata ? [[key, old.metadata[key]]] : [])))
  const metadata = { ...next.metadata, ...fixed }
  const updated = converted(resource, owned(resource, subresource, old, { ...next, metadata }))
  if (resource.plural === 'poddisruptionbudgets' && !sameJson(old['spec'], updated['spec'])) {
    updated.metadata.generation = (old.metadata.generation ?? 1) + 1
  }
  validate(resource, updated)
  return updated
}

function owned(resource: Resource, subresource: string | null, old: Stored, next: Stored): Stored {
  if (subresource === null) {
    return resource.subresources.includes('status') ? { ...next, status: old['status'] } : next
  }
  const status = {
    ...(isFields(old['status']) ? old['status'] : {}),
    ...(isFields(next['status']) ? next['status'] : {})
  }
  if (subresource === 'approval')
    return { ...old, status: { ...status, certificate: at(old, 'status', 'certificate') } }
  // A node's status may carry labels and annotations along; other kinds keep theirs.
  const metadata = resource.plural === 'nodes' ? next.metadata : old.metadata
  return { ...old, metadata: { ...metadata }, status: next['status'] ?? {} }
}

function converted(resource: Resource, object: Stored): Stored {
  return resource.plural === 'secrets' ? secret(object) : object
}

const defaults: Readonly<Record<string, (object: Stored, user: User) => Stored>> = {
  secrets: object => secret(object),
  pods: object => ({
    ...object,
    spec: {
      terminationGracePeriodSeconds: 30,
      restartPolicy: 'Always',
      ...(isFields(object['spec']) ? object['spec'] : {})
    },
    status: { phase: 'Pending' }
  }),
  poddisruptionbudgets: object => ({
    ...object,
    metadata: { ...object.metadata, generation: 1 },
    status: { disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 }
  }),
  certificatesigningrequests: (object, user) => ({
    ...object,
    spec: { ...(isFields(object['spec']) ? object['spec'] : {}), username: user.name, groups: [...user.groups] },
    status: {}
  })
}

function secret({ stringData, ...object }: Stored): Stored {
  const given = isFields(stringData) ? Object.entries(stringData) : []
  const encoded = Object.fromEntries(given.map(([key, value]) => [key, Buffer.from(text(value)).toString('base64')]))
  const data: Fields = { ...(isFields(object['data']) ? object['data'] : {}), ...encoded }
  return { ...object, type: object['type'] ?? 'Opaque', data }
}

const subdomain = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/
const labelKey = /^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/
const labelValue = /^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/

function validate(resource: Resource, object: Stored): void {
  const { name, labels = {} } = object.metadata
  const what = `${resource.kind} "${name}"`
  // Names of RBAC objects are path segments, so colons are fine.
  const good = resource.group === 'rbac.authorization.k8s.io' ? /^[^/%]+$/.test(name) : subdomain.test(name)
  if (!good || name.length > 253) throw invalid(what, `metadata.name: Invalid value: ${JSON.stringify(name)}`)
  for (const [key, value] of Object.entries(labels)) {
    if (!labelKey.test(key) || !labelValue.test(value)) {
      throw invalid(what, `metadata.labels: Invalid value: ${JSON.stringify(labelKey.test(key) ? value : key)}`)
    }
  }
  if (resource.plural === 'certificatesigningrequests') validateRequest(what, object)
}

function validateRequest(what: string, object: Stored): void {
  if (readCertificateRequest(requestPem(object)) === null)
    throw invalid(what, 'spec.request: Invalid value: not a certificate request')
  if (typeof at(object, 'spec', 'signerName') !== 'string') throw invalid(what, 'spec.signerName: Required value')
  const types = conditionTypes(object)
  if (types.includes('Approved') && types.includes('Denied')) {
    throw invalid(what, 'status.conditions: Approved and Denied conditions are mutually exclusive')
  }
}

export function conditionTypes(object: Stored): string[] {
  const conditions = at(object, 'status', 'conditions')
  return Array.isArray(conditions) ? conditions.filter(isFields).map(({ type }) => text(type)) : []
}

export function asObject(resource: Resource, body: Json): Stored {
  if (!isFields(body) || !isFields(body['metadata'])) throw badRequest('the body of the request must be an object')
  const { apiVersion = apiVersionOf(resource), kind = resource.kind } = body
  if (apiVersion !== apiVersionOf(resource) || kind !== resource.kind) {
    throw badRequest(`${text(apiVersion)} ${text(kind)} in the body does not match ${resource.kind} on the URL`)
  }
  return { ...body, apiVersion, kind } as Stored
}
