// What the server sees on its networks beside its own machines: other DHCP servers, and what a person should know of.

import { type Static, Type } from 'typebox'

const Time = Type.String({ format: 'date-time' })
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(type: T) => Type.Union([type, Type.Null()])
const Text = Type.String()

export const DhcpServerView = Type.Object({
  /** As it names itself in option 54. */
  address: Text,
  /** Where it was heard, and behind which relay. */
  interface: Text,
  relay: nullable(Text),
  /** expected: the one that gives addresses beside a proxy. */
  verdict: Type.Enum(['expected', 'rival']),
  why: Text,
  /** Whether it was heard within the last quarter of an hour. */
  present: Type.Boolean(),
  /** offer: it spoke itself; request: a machine named it. */
  heard: Type.Enum(['offer', 'request']),
  /** Whether it also speaks to boot clients: a boot file, or option 60. */
  boots: Type.Boolean(),
  mac: nullable(Text),
  name: nullable(Text),
  /** What it offered, or what a machine asked it for; to which machine. */
  offered: nullable(Text),
  client: nullable(Text),
  subnetMask: nullable(Text),
  routers: Type.Array(Text),
  dns: Type.Array(Text),
  nextServer: nullable(Text),
  bootFile: nullable(Text),
  leaseSeconds: nullable(Type.Integer()),
  firstSeen: Time,
  lastSeen: Time
})
export type DhcpServerView = Static<typeof DhcpServerView>

/** Something that lasts and that a person should know of; gone when it is over. */
export const Notice = Type.Object({
  about: Type.Enum(['rival', 'no-addresses', 'blind', 'flood', 'address']),
  level: Type.Enum(['note', 'warning']),
  message: Text,
  since: Time
})
export type Notice = Static<typeof Notice>
