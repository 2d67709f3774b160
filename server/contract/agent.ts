// What the server and the agent say to each other: JSON over mutual TLS below /agent/v1/.
// Enrolment shows the boot certificate; everything after it the machine certificate.

import { type Static, Type } from 'typebox'

const strict = { additionalProperties: false }
const Pem = Type.String({ maxLength: 16384 })
const Version = Type.String({ pattern: '^v1\\.[0-9]{1,3}\\.[0-9]{1,3}$' })

/** /etc/slipway/agent.json on the machine (0600), written by Ignition or kickstart. */
export const AgentConfig = Type.Object(
  {
    server: Type.String({ pattern: '^https://[^/]+$' }),
    /** Paths on the machine. */
    ca: Type.String(),
    bootCertificate: Type.String(),
    bootKey: Type.String(),
    runtime: Type.Enum(['crio', 'containerd'])
  },
  strict
)
export type AgentConfig = Static<typeof AgentConfig>

/** POST /agent/v1/enrol (boot certificate) and POST /agent/v1/renew (machine certificate). */
export const EnrolRequest = Type.Object({ csr: Pem }, strict)
export const EnrolReply = Type.Object({
  /** Machine certificate: PEM. */
  certificate: Pem,
  ca: Pem,
  machine: Type.Object({ id: Type.String(), name: Type.String() }),
  /** Renew when this much of its life is left, in seconds. */
  renewBeforeSeconds: Type.Integer()
})
export type EnrolReply = Static<typeof EnrolReply>

/** A Kubernetes system extension that the server serves: kubelet, kubeadm, kubectl and their units. */
export const Extension = Type.Object({
  version: Version,
  url: Type.String(),
  size: Type.Integer({ minimum: 1 }),
  sha256: Type.String({ pattern: '^[0-9a-f]{64}$' })
})
export type Extension = Static<typeof Extension>

/** GET /agent/v1/desired: what the server wants of this machine now. */
export const Desired = Type.Object({
  node: Type.Object({
    name: Type.String(),
    role: Type.Enum(['worker', 'control-plane']),
    /** The version to join with; later upgrades go by the mirrored label. */
    version: Version
  }),
  /** Seconds until the agent should ask again. */
  pollSeconds: Type.Integer({ minimum: 1 })
})
export type Desired = Static<typeof Desired>

/** GET /agent/v1/extensions/<version>: 404 when the server has none for this machine's architecture. */

/** POST /agent/v1/join {}: 503 with the reason while it must wait, 409 when it may not. */
export const JoinReply = Type.Union([
  Type.Object({
    action: Type.Literal('join'),
    /** Texts of files for kubeadm; the first holds the token, so 0600 and gone after the join. */
    config: Type.String(), // JoinConfiguration; refers to the discovery file at discoveryPath
    discovery: Type.String(), // kubeconfig of one unnamed cluster
    discoveryPath: Type.String()
  }),
  Type.Object({
    action: Type.Literal('init'),
    config: Type.String() // InitConfiguration and ClusterConfiguration
  })
])
export type JoinReply = Static<typeof JoinReply>

/** POST /agent/v1/cluster: the first control plane hands over admin.conf after kubeadm init. */
export const ClusterHandover = Type.Object({ kubeconfig: Type.String({ maxLength: 65536 }) }, strict)

/** POST /agent/v1/report: what the agent did and sees. Steps appear on the machine's timeline. */
export const Report = Type.Object(
  {
    phase: Type.Enum(['enrolled', 'staging', 'joining', 'joined', 'upgrading', 'failed']),
    /** Journalled steps since the last accepted report; seq grows by one for ever, so a repeat is recognised. */
    steps: Type.Array(
      Type.Object(
        {
          seq: Type.Integer({ minimum: 1 }),
          at: Type.String({ format: 'date-time' }),
          step: Type.String({ pattern: '^[a-z][a-z-]{0,40}$' }),
          edge: Type.Enum(['begin', 'end', 'failed', 'note']),
          message: Type.String({ maxLength: 1024 })
        },
        strict
      ),
      { maxItems: 200 }
    ),
    kubeletVersion: Type.Union([Version, Type.Null()]),
    hardware: Type.Optional(
      Type.Record(Type.String({ maxLength: 128 }), Type.String({ maxLength: 256 }), { maxProperties: 200 })
    )
  },
  strict
)
export type Report = Static<typeof Report>

/** POST /agent/v1/slot {target}: 200 granted, 409 with the reason when not now. DELETE gives it back. */
export const SlotRequest = Type.Object({ target: Version }, strict)
export const SlotReply = Type.Object({
  granted: Type.Boolean(),
  reason: Type.String(),
  /** Which command this node needs: the first control plane applies, the rest follow. */
  command: Type.Enum(['apply', 'node'])
})
export type SlotReply = Static<typeof SlotReply>
export const SlotReturn = Type.Object({ outcome: Type.Enum(['upgraded', 'rolled-back', 'blocked']) }, strict)
export type SlotReturn = Static<typeof SlotReturn>
