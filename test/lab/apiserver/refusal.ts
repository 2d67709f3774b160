// Refusals as the API server words them: a Status object (meta/v1) and its HTTP code.

import type { Fields } from './objects.ts'

export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly code: number
  readonly reason: string
  readonly details: Fields
  readonly retryAfterSeconds: number | null

  constructor(code: number, reason: string, message: string, details: Fields = {}, retryAfterSeconds?: number) {
    super(message)
    this.code = code
    this.reason = reason
    this.details = details
    this.retryAfterSeconds = retryAfterSeconds ?? null
  }
}

export function statusOf({ code, reason, message, details }: Refusal): Fields {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, details, code }
}

export const success: Fields = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' }

export const notFound = (resource: string, name: string): Refusal =>
  new Refusal(404, 'NotFound', `${resource} "${name}" not found`, { name, kind: resource })

export const noSuchResource = (): Refusal =>
  new Refusal(404, 'NotFound', 'the server could not find the requested resource')

export const invalid = (what: string, message: string): Refusal =>
  new Refusal(422, 'Invalid', `${what} is invalid: ${message}`)

export const badRequest = (message: string): Refusal => new Refusal(400, 'BadRequest', message)

export const conflict = (resource: string, name: string, why?: string): Refusal =>
  new Refusal(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${resource} "${name}": ${why ?? 'the object has been modified; please apply your changes to the latest version and try again'}`,
    { name, kind: resource }
  )

export const forbidden = (resource: string, name: string | null, why: string): Refusal =>
  new Refusal(403, 'Forbidden', `${resource}${name === null ? '' : ` "${name}"`} is forbidden: ${why}`, {
    kind: resource,
    ...(name !== null && { name })
  })

export const expired = (version: string): Refusal => new Refusal(410, 'Expired', `too old resource version: ${version}`)
