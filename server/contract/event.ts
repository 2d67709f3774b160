// One line of a timeline: what happened to which machine, on which boot, when. Never a secret.

import { type Static, Type } from 'typebox'

export const TimelineEvent = Type.Object({
  id: Type.Integer(),
  at: Type.String({ format: 'date-time' }),
  /**
   * Dotted, area first: dhcp.discover, dhcp.ack, tftp.sent, boot.script, boot.hold, config.delivered,
   * machine.approved, …
   */
  type: Type.String({ pattern: '^[a-z]+(\\.[a-z-]+)+$' }),
  machine: Type.Union([Type.String(), Type.Null()]),
  boot: Type.Union([Type.String(), Type.Null()]),
  mac: Type.Union([Type.String(), Type.Null()]),
  /** info, or warning where somebody should look. */
  level: Type.Enum(['info', 'warning']),
  /** One sentence for a person. */
  message: Type.String(),
  detail: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean(), Type.Null()]))
})
export type TimelineEvent = Static<typeof TimelineEvent>

/** An event before it is written: the store gives the id, the clock the time. */
export interface NewEvent {
  type: string
  machine?: string | null
  boot?: string | null
  mac?: string | null
  level?: 'info' | 'warning'
  message: string
  detail?: Record<string, string | number | boolean | null>
}
