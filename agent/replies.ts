// Strict decoders for what comes from outside: the server's replies, and our own files after a crash. Each checks every
// field it returns and leaves unknown ones aside, so that a newer server may say more. Small by hand: a validator
// library would cost more memory than the rest of the agent.

import type { AgentConfig, Desired, EnrolReply, Extension, JoinReply, SlotReply } from '../server/contract/agent.ts'

export class BadReply extends Error {
  override readonly name = 'BadReply'
}

type Fields = Readonly<Record<string, unknown>>
const versionPattern = /^v1\.[0-9]{1,3}\.[0-9]{1,3}$/
const namePattern = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/

export function decodeConfig(raw: unknown): AgentConfig {
  const fields = record(raw, 'the configuration')
  return {
    server: text(fields, 'server', /^https:\/\/[^/\s]{1,260}$/),
    ca: text(fields, 'ca', /^\//),
    bootCertificate: text(fields, 'bootCertificate', /^\//),
    bootKey: text(fields, 'bootKey', /^\//),
    runtime: oneOf(fields, 'runtime', ['crio', 'containerd'])
  }
}

export function decodeEnrolReply(raw: unknown): EnrolReply {
  const fields = record(raw, 'the reply')
  const machine = record(fields['machine'], 'machine')
  return {
    certificate: pem(fields, 'certificate'),
    ca: pem(fields, 'ca'),
    machine: { id: text(machine, 'id'), name: text(machine, 'name', namePattern) },
    renewBeforeSeconds: integer(fields, 'renewBeforeSeconds', 1)
  }
}

export function decodeDesired(raw: unknown): Desired {
  const fields = record(raw, 'the reply')
  const node = record(fields['node'], 'node')
  return {
    node: {
      name: text(node, 'name', namePattern),
      role: oneOf(node, 'role', ['worker', 'control-plane']),
      version: text(node, 'version', versionPattern)
    },
    // A server's mistake must not make the agent spin, or sleep for a year.
    pollSeconds: Math.min(integer(fields, 'pollSeconds', 1), 3600)
  }
}

/** An extension is a few hundred megabytes; more than this is a mistake, and would fill the disk. */
const extensionBytesMax = 2 * 1024 ** 3

export function decodeExtension(raw: unknown): Extension {
  const fields = record(raw, 'the reply')
  const size = integer(fields, 'size', 1)
  if (size > extensionBytesMax) throw new BadReply(`size is more than ${extensionBytesMax} bytes`)
  return {
    version: text(fields, 'version', versionPattern),
    url: text(fields, 'url', /^https?:\/\/[^\s]{1,2000}$/),
    size,
    sha256: text(fields, 'sha256', /^[0-9a-f]{64}$/)
  }
}

export function decodeJoinReply(raw: unknown): JoinReply {
  const fields = record(raw, 'the reply')
  const action = oneOf(fields, 'action', ['join', 'init'])
  const config = text(fields, 'config')
  if (action === 'init') return { action, config }
  return {
    action,
    config,
    discovery: text(fields, 'discovery'),
    // Only there: the server must not be able to choose which file on the machine is overwritten.
    discoveryPath: text(fields, 'discoveryPath', /^\/run\/slipway\/[a-z][a-z0-9.-]{0,60}$/)
  }
}

export function decodeSlotReply(raw: unknown): SlotReply {
  const fields = record(raw, 'the reply')
  return {
    granted: boolean(fields, 'granted'),
    reason: text(fields, 'reason', /^/),
    command: oneOf(fields, 'command', ['apply', 'node'])
  }
}

/** What is kept of an enrolment beside the certificate. */
export interface MachineNote {
  readonly id: string
  readonly name: string
  readonly renewBeforeSeconds: number
}

export function decodeMachineNote(raw: unknown): MachineNote {
  const fields = record(raw, 'the file')
  return {
    id: text(fields, 'id'),
    name: text(fields, 'name', namePattern),
    renewBeforeSeconds: integer(fields, 'renewBeforeSeconds', 1)
  }
}

export function record(value: unknown, what: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
  throw new BadReply(`${what} must be an object`)
}

function text(fields: Fields, key: string, pattern = /./s): string {
  const value = fields[key]
  if (typeof value === 'string' && value.length <= 65_536 && pattern.test(value)) return value
  throw new BadReply(`${key} is not what it should be`)
}

function pem(fields: Fields, key: string): string {
  return text(fields, key, /^-----BEGIN CERTIFICATE-----[\s\S]{1,16000}-----END CERTIFICATE-----\s*$/)
}

function integer(fields: Fields, key: string, minimum: number): number {
  const value = fields[key]
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= minimum) return value
  throw new BadReply(`${key} must be a whole number of at least ${minimum}`)
}

function boolean(fields: Fields, key: string): boolean {
  const value = fields[key]
  if (typeof value === 'boolean') return value
  throw new BadReply(`${key} must be true or false`)
}

function oneOf<T extends string>(fields: Fields, key: string, values: readonly T[]): T {
  const found = values.find(value => value === fields[key])
  if (found !== undefined) return found
  throw new BadReply(`${key} must be one of ${values.join(', ')}`)
}
