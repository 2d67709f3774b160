// The machine as the API, the page and the agent see it.

import { type Static, Type } from 'typebox'

export const MachineState = Type.Enum([
  'discovered',
  'ignored',
  'approved',
  'installing',
  'enrolled',
  'ready',
  'maintenance',
  'failed',
  'retired'
])
export type MachineState = Static<typeof MachineState>

export const MachineId = Type.String({ pattern: '^m-[a-z0-9]{8}$' })
/** A DNS-1123 label: becomes the host name and the Node name. */
export const MachineName = Type.String({ pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$' })

/** What firmware says of itself. Every text is hostile: stored as it came (cut at 4096 bytes), escaped where shown. */
export const Hardware = Type.Object({
  uuid: Type.Union([Type.String(), Type.Null()]),
  serial: Type.Union([Type.String(), Type.Null()]),
  manufacturer: Type.Union([Type.String(), Type.Null()]),
  product: Type.Union([Type.String(), Type.Null()]),
  asset: Type.Union([Type.String(), Type.Null()]),
  arch: Type.Union([Type.Enum(['x86_64', 'arm64']), Type.Null()]),
  platform: Type.Union([Type.Enum(['bios', 'uefi']), Type.Null()])
})
export type Hardware = Static<typeof Hardware>

/** Where a machine is plugged in, as a relay said when it took an address (DHCP option 82). Hostile text. */
export const SwitchPort = Type.Object({
  switch: Type.String(),
  port: Type.String(),
  /** Address of the relay. */
  relay: Type.String(),
  /** Which of its MACs is plugged in there. */
  mac: Type.String(),
  /** Since when it was seen there. */
  at: Type.String({ format: 'date-time' })
})
export type SwitchPort = Static<typeof SwitchPort>

export const Machine = Type.Object({
  id: MachineId,
  name: Type.Union([MachineName, Type.Null()]),
  macs: Type.Array(Type.String({ pattern: '^([0-9a-f]{2}:){5}[0-9a-f]{2}$' })),
  hardware: Hardware,
  state: MachineState,
  since: Type.String({ format: 'date-time' }),
  /** Why it is in that state, for a person; null when the state says it all. */
  reason: Type.Union([Type.String(), Type.Null()]),
  /** What happens next, or what the operator should do. */
  next: Type.String(),
  profile: Type.Union([Type.String(), Type.Null()]),
  rule: Type.Union([Type.String(), Type.Null()]),
  /** One (re)installation is allowed at the next network boot. */
  armed: Type.Boolean(),
  /** The armed installation may erase a disk that holds data. */
  wipe: Type.Boolean(),
  address: Type.Union([Type.String(), Type.Null()]),
  switchPort: Type.Union([SwitchPort, Type.Null()]),
  /** Its place in the rack, as a document or rule gives it. */
  position: Type.Union([Type.String(), Type.Null()]),
  /** Kubernetes version that the node runs, as last reported. */
  version: Type.Union([Type.String(), Type.Null()]),
  updatedAt: Type.String({ format: 'date-time' })
})
export type Machine = Static<typeof Machine>
