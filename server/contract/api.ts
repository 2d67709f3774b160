// What the API says beside machines, events and documents: requests of operators, and the views of boots, leases,
// nodes.

import { type Static, Type } from 'typebox'
import { MachineName } from './machine.ts'

const strict = { additionalProperties: false }
const Time = Type.String({ format: 'date-time' })
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(type: T) => Type.Union([type, Type.Null()])

/** Who may do what: each role may also do what the ones before it may. */
export const AccessRole = Type.Enum(['viewer', 'operator', 'admin'])
export type AccessRole = Static<typeof AccessRole>

/** POST /api/v1/machines/:ref/approve; the rule that matched gives what is not said here. */
export const ApproveRequest = Type.Object(
  { profile: Type.Optional(Type.String({ maxLength: 63 })), name: Type.Optional(MachineName) },
  strict
)
export type ApproveRequest = Static<typeof ApproveRequest>

/** POST /api/v1/machines/:ref/install arms one installation; wipe allows it to erase a disk that holds data. */
export const InstallRequest = Type.Object({ wipe: Type.Optional(Type.Boolean()) }, strict)
export type InstallRequest = Static<typeof InstallRequest>

/** POST /api/v1/machines/:ref/reject and …/retire. */
export const ReasonRequest = Type.Object({ reason: Type.Optional(Type.String({ maxLength: 256 })) }, strict)
export type ReasonRequest = Static<typeof ReasonRequest>

/** POST /api/v1/nodes/:name/version: the label slipway.dev/version, as kubectl would set it. */
export const RelabelRequest = Type.Object(
  { version: Type.String({ pattern: '^v1\\.[0-9]{1,3}\\.[0-9]{1,3}$' }) },
  strict
)
export type RelabelRequest = Static<typeof RelabelRequest>

/** POST /api/v1/session: a one-time code becomes a session cookie. */
export const LoginRequest = Type.Object({ code: Type.String({ minLength: 1, maxLength: 128 }) }, strict)
export const Session = Type.Object({ role: AccessRole })
export type Session = Static<typeof Session>

export const BootView = Type.Object({
  id: Type.String(),
  machine: Type.String(),
  state: Type.Enum(['offered', 'delivered', 'confirmed', 'superseded', 'quarantined', 'expired']),
  address: Type.String(),
  kind: Type.Enum(['ignition', 'kickstart']),
  profile: Type.String(),
  createdAt: Time,
  deliveredAt: nullable(Time),
  endedAt: nullable(Time)
})
export type BootView = Static<typeof BootView>

export const LeaseView = Type.Object({
  address: Type.String(),
  mac: Type.String(),
  hostname: nullable(Type.String()),
  grantedAt: Time,
  expiresAt: Time,
  state: Type.Enum(['bound', 'declined']),
  /** What its document knows it by, when that is not its hardware address; null otherwise. */
  identifier: nullable(Type.String())
})
export type LeaseView = Static<typeof LeaseView>

/** GET /api/v1/services: what `slipway doctor` looks at from outside. */
export const Services = Type.Object({
  /** Boot plane, as machines on the asker's network reach it. */
  boot: Type.String(),
  /** Ports; null for a service that is off. */
  tftp: nullable(Type.Integer()),
  dhcp: nullable(Type.Object({ server: Type.Integer(), client: Type.Integer() })),
  /** Every boot program that firmware may be sent to; size and SHA-256 are null where the file is missing. */
  programs: Type.Array(
    Type.Object({ name: Type.String(), size: nullable(Type.Integer()), sha256: nullable(Type.String()) })
  )
})
export type Services = Static<typeof Services>

/** A Kubernetes node as the server's watch sees it. */
export const NodeView = Type.Object({
  name: Type.String(),
  /** Id of the machine that became this node; null for a node that did not come from here. */
  machine: nullable(Type.String()),
  ready: Type.Boolean(),
  /** kubelet version, as the node reports it. */
  version: nullable(Type.String()),
  /** What the label asks for; null when it asks for nothing. */
  asked: nullable(Type.String()),
  /** slipway.dev/state: ready, draining, upgrading, held, failed. */
  state: nullable(Type.String()),
  reason: nullable(Type.String()),
  next: nullable(Type.String()),
  unschedulable: Type.Boolean()
})
export type NodeView = Static<typeof NodeView>
