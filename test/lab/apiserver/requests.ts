// One request to the simulated API server, from who asks to the reply: authorisation, admission, the kind's own
// rules, storage. Watches are recognised here and served by watching.ts. Nothing here touches a socket.

import { enforceIntentPolicy, restrictNode } from './admission.ts'
import { type DeleteOptions, deletePod, evict } from './eviction.ts'
import { prepareCreate, prepareUpdate } from './kinds.ts'
import { at, isFields, text } from './fields.ts'
import { listPage } from './listing.ts'
import type { Fields, Json, ObjectStore, Stored } from './objects.ts'
import { applyPatch } from './patch.ts'
import { badRequest, conflict, forbidden, noSuchResource, notFound, Refusal, success } from './refusal.ts'
import { findResource, parseTarget, qualified, type Resource, verbOf } from './resources.ts'
import { allowedByRbac, type Attributes, authorize } from './rights.ts'
import { type Match, matchFields, parseFieldSelector, parseLabelSelector } from './selectors.ts'
import type { User } from './users.ts'

export interface ApiRequest {
  readonly user: User
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly contentType: string
  readonly body: string
}

export interface WatchRequest {
  readonly resource: Resource
  readonly namespace: string | null
  readonly match: Match
  /** Null: from now, after what exists. */
  readonly from: number | null
  readonly bookmarks: boolean
  readonly timeoutSeconds: number | null
}

export type ApiReply = { readonly code: number; readonly body: Json } | { readonly watch: WatchRequest }

interface Context {
  readonly store: ObjectStore
  readonly now: Date
  readonly request: ApiRequest
  readonly attributes: Attributes
  readonly resource: Resource
}

export function respond(store: ObjectStore, request: ApiRequest, now: Date): ApiReply {
  const target = parseTarget(request.path)
  const watching = ['1', 'true'].includes(request.query.get('watch') ?? '')
  const verb = target === null ? null : verbOf(request.method, target.name, watching)
  if (target === null || verb === null) throw noSuchResource()
  const fields = parseFieldSelector(target.plural, request.query.get('fieldSelector'))
  const attributes = { ...target, verb, fields }
  authorize(request.user, attributes, store)
  const resource = findResource(target)
  if (resource === null) throw noSuchResource()
  const context = { store, now, request, attributes, resource }
  switch (verb) {
    case 'get':
      return { code: 200, body: existing(context) }
    case 'list':
      return { code: 200, body: listPage(store, resource, attributes.namespace, matchOf(context), request.query) }
    case 'watch':
      return { watch: watchOf(context) }
    case 'create':
      return attributes.subresource === 'eviction' ? evictReply(context) : createReply(context)
    case 'update':
    case 'patch':
      return updateReply(context)
    case 'delete':
      return deleteReply(context)
    default:
      throw new Refusal(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource')
  }
}

function existing({ store, attributes, resource }: Context): Stored {
  const { namespace, name } = attributes
  const found = store.find(resource.plural, namespace, name ?? '')
  if (found === null) throw notFound(qualified(resource), name ?? '')
  return found
}

function matchOf({ request, attributes }: Context): Match {
  const byFields = matchFields(attributes.fields)
  const byLabels = parseLabelSelector(request.query.get('labelSelector'))
  return object => byFields(object) && byLabels(object)
}

function watchOf(context: Context): WatchRequest {
  const { request, resource, attributes } = context
  const version = request.query.get('resourceVersion') ?? ''
  if (!/^\d*$/.test(version)) throw badRequest(`invalid resource version ${JSON.stringify(version)}`)
  const timeout = Number(request.query.get('timeoutSeconds') ?? 0)
  return {
    resource,
    namespace: attributes.namespace,
    match: matchOf(context),
    from: version === '' || version === '0' ? null : Number(version),
    bookmarks: ['1', 'true'].includes(request.query.get('allowWatchBookmarks') ?? ''),
    timeoutSeconds: timeout > 0 ? timeout : null
  }
}

function createReply(context: Context): ApiReply {
  const { store, request, attributes, resource } = context
  const { namespace, name } = attributes
  if (name !== null)
    throw new Refusal(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource')
  const object = prepareCreate(resource, namespace, parse(request.body), request.user)
  restrictNode(request.user, attributes, object, null)
  enforceIntentPolicy(request.user, attributes, object, null, store)
  if (resource.plural === 'certificatesigningrequests') refuseMasters(object)
  if (namespace !== null && store.find('namespaces', null, namespace) === null) throw notFound('namespaces', namespace)
  if (store.find(resource.plural, namespace, object.metadata.name) !== null) {
    const { metadata } = object
    throw new Refusal(409, 'AlreadyExists', `${qualified(resource)} "${metadata.name}" already exists`)
  }
  return { code: 201, body: isDryRun(request) ? object : store.put(resource.plural, object) }
}

function refuseMasters(object: Stored): void {
  if (at(object, 'spec', 'signerName') !== 'kubernetes.io/kube-apiserver-client') return
  const groups = at(object, 'spec', 'groups')
  if (Array.isArray(groups) && groups.includes('system:masters')) {
    throw forbidden(
      'certificatesigningrequests.certificates.k8s.io',
      object.metadata.name,
      'system:masters is not allowed'
    )
  }
}

function updateReply(context: Context): ApiReply {
  const { store, request, attributes, resource } = context
  const { subresource } = attributes
  const old = existing(context)
  const body = parse(request.body)
  const next = request.method === 'PATCH' ? applyPatch(old, request.contentType, body) : replacement(context, old, body)
  restrictNode(request.user, attributes, next, old)
  const object = prepareUpdate(resource, subresource, old, next)
  enforceIntentPolicy(request.user, attributes, object, old, store)
  if (subresource === 'approval') mayApprove(context, old)
  if (isDryRun(request)) return { code: 200, body: object }
  return { code: 200, body: store.put(resource.plural, object) }
}

/** Leases and budgets may not be replaced without saying which version is meant. */
function replacement({ resource }: Context, old: Stored, body: Json): Stored {
  if (!isFields(body) || !isFields(body['metadata'])) throw badRequest('the body of the request must be an object')
  const version = body['metadata']['resourceVersion']
  if (version === undefined && ['leases', 'poddisruptionbudgets'].includes(resource.plural)) {
    const why = 'metadata.resourceVersion: Invalid value: 0: must be specified for an update'
    throw new Refusal(422, 'Invalid', `${resource.kind} "${old.metadata.name}" is invalid: ${why}`)
  }
  return { ...body, apiVersion: old.apiVersion, kind: old.kind } as Stored
}

/** The CertificateApproval admission plugin: the signer must be one that this user may approve for. */
function mayApprove({ store, request, attributes, resource }: Context, old: Stored): void {
  const signer = text(at(old, 'spec', 'signerName'))
  const asked: Attributes = { ...attributes, verb: 'approve', plural: 'signers', subresource: null, name: signer }
  if (request.user.groups.includes('system:masters') || allowedByRbac(request.user, asked, store)) return
  throw forbidden(
    qualified(resource),
    old.metadata.name,
    `user not permitted to approve requests with signerName "${signer}"`
  )
}

function deleteReply(context: Context): ApiReply {
  const { store, request, attributes, resource, now } = context
  const old = existing(context)
  restrictNode(request.user, attributes, null, old)
  const body = request.body === '' ? {} : parse(request.body)
  const options = deleteOptions(request, isFields(body) ? body : {})
  if (resource.plural === 'pods') return { code: 200, body: deletePod(store, old, options, now) }
  if (options.uid !== null && options.uid !== old.metadata.uid)
    throw conflict(qualified(resource), old.metadata.name, 'uid')
  if (!options.dryRun) store.remove(resource.plural, old)
  const { name, uid = '' } = old.metadata
  return { code: 200, body: { ...success, details: { name, kind: resource.plural, uid } } }
}

function evictReply(context: Context): ApiReply {
  const { store, request, attributes, now } = context
  const { namespace, name } = attributes
  const pod = store.find('pods', namespace, name ?? '')
  if (pod === null) throw notFound('pod', name ?? '')
  restrictNode(request.user, attributes, pod, pod)
  const body = parse(request.body)
  const given = isFields(body) && isFields(body['deleteOptions']) ? body['deleteOptions'] : {}
  evict(store, pod, deleteOptions(request, given), now)
  return { code: 201, body: { ...success, code: 201 } }
}

function deleteOptions(request: ApiRequest, given: Fields): DeleteOptions {
  const { gracePeriodSeconds, preconditions, dryRun } = given
  const queried = request.query.get('gracePeriodSeconds')
  return {
    gracePeriodSeconds:
      typeof gracePeriodSeconds === 'number' ? gracePeriodSeconds : queried === null ? null : Number(queried),
    uid: isFields(preconditions) && typeof preconditions['uid'] === 'string' ? preconditions['uid'] : null,
    dryRun: isDryRun(request) || (Array.isArray(dryRun) && dryRun.includes('All'))
  }
}

function isDryRun({ query }: ApiRequest): boolean {
  const dryRun = query.get('dryRun')
  if (dryRun !== null && dryRun !== 'All') throw badRequest(`Unsupported value: ${dryRun}: supported values: "All"`)
  return dryRun === 'All'
}

function parse(body: string): Json {
  try {
    return JSON.parse(body) as Json
  } catch {
    throw badRequest('the body of the request is not valid JSON')
  }
}
