// How documents write by what a machine is known, and where it stands.

import { Type } from 'typebox'

export const MacAddress = Type.String({ pattern: '^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$' })

/** DHCP option 61. */
export const ClientId = Type.String({ pattern: '^[ -~]{1,255}$', description: 'bytes as 01:52:54:…, or text' })

/** Of the system's firmware (SMBIOS), as its setup shows it. */
export const Uuid = Type.String({
  pattern: '^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$',
  description: 'a UUID such as 4c4c4544-0051-3510-8052-b4c04f4a4d32'
})

const PortName = Type.String({ pattern: '^[ -~]{1,255}$' })

/** Remote and circuit id of a relay (DHCP option 82), or both as switch/port. */
export const SwitchPortName = Type.Union([
  Type.String({ pattern: '^[ -~]+/[ -~]+$', maxLength: 512, description: 'switch/port' }),
  Type.Object({ switch: PortName, port: PortName }, { additionalProperties: false })
])

/** Where a machine stands in the rack: literal text, {switch} and {port}. */
export const Position = Type.String({ pattern: '^[ -~]{1,128}$', description: 'printable text, {switch} and {port}' })
