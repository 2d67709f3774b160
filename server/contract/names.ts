// The names that people, programs and nodes hold on to. Promises: extended, never bent.

export const API_VERSION = 'slipway.dev/v1'

/** What an administrator asks of a node (labels). A node may not set them on itself. */
export const intent = {
  version: 'slipway.dev/version',
  maintenance: 'slipway.dev/maintenance',
  reinstall: 'slipway.dev/reinstall'
} as const

/** The server's mirror of an accepted version: NodeRestriction keeps a node from forging it. */
export const MIRRORED_VERSION = 'slipway.node-restriction.kubernetes.io/version'

/** Label the agent keeps on its own node: ready, draining, upgrading, held, failed. */
export const STATE_LABEL = 'slipway.dev/state'
export type NodeState = 'ready' | 'draining' | 'upgrading' | 'held' | 'failed'

/** Annotations that tell the story, on the node itself. */
export const annotation = {
  reason: 'slipway.dev/reason',
  since: 'slipway.dev/since',
  next: 'slipway.dev/next',
  slot: 'slipway.dev/slot',
  /** The server's answer to an intent that it did not accept: waiting or refused, and why. */
  answer: 'slipway.dev/answer',
  hardwareLabels: 'slipway.dev/hardware-labels',
  /** Set by the agent with its own cordon, so that it undoes only that one. */
  cordonedBy: 'slipway.dev/cordoned-by'
} as const

export const NFD_PREFIX = 'feature.node.kubernetes.io/'
export const HARDWARE_PREFIX = 'hw.slipway.dev/'
export const TOKEN_GROUP_PREFIX = 'system:bootstrappers:slipway:'
