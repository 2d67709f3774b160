// By what a machine is known before it can say its name: hardware address, DHCP client identifier (option 61), SMBIOS
// UUID, the switch port that it is plugged into. Each as one text that a document, a DHCP packet and a recorded machine
// all lead to, and that people can read in a message. Who is asking, as evidence, is identity.ts.

import type { MachineSpec } from '../contract/document.ts'
import type { Machine } from '../contract/machine.ts'
import { parseMac } from '../contract/net.ts'
import { usableUuid } from './identity.ts'

/** What a client identifier is, as text: 01:52:54:00:00:00:01. */
const HEX = /^[0-9a-f]{2}(:[0-9a-f]{2})+$/
const PORT = 'switch port '

/** The option's bytes. */
export function clientIdKey(bytes: Buffer): string {
  return `client id ${bytes.toString('hex').replaceAll(/..(?!$)/g, '$&:')}`
}

/** Null for a UUID that vendors ship on every board: it is nobody's. */
export function uuidKey(text: string | null): string | null {
  const uuid = usableUuid(text)
  return uuid === null ? null : `uuid ${uuid}`
}

export function portKey({ switch: name, port }: { readonly switch: string; readonly port: string }): string {
  return `${PORT}${name}/${port}`
}

/** Whether these show another switch port than this identifier: the machine has been plugged elsewhere. */
export function contradicts(identifier: string, shown: readonly string[]): boolean {
  return identifier.startsWith(PORT) && !shown.includes(identifier) && shown.some(key => key.startsWith(PORT))
}

/** All that a Machine document knows its machine by, strongest first. A hardware address is its own key. */
export function keysOf({ macs = [], clientId, uuid, switchPort }: MachineSpec): string[] {
  const id = uuidKey(uuid ?? null)
  return [
    ...macs.flatMap(text => parseMac(text) ?? []),
    ...(clientId === undefined ? [] : clientIdKeys(clientId)),
    ...(id === null ? [] : [id]),
    ...(switchPort === undefined ? [] : [typeof switchPort === 'string' ? `${PORT}${switchPort}` : portKey(switchPort)])
  ]
}

/** Pairs of hex digits are bytes; other text is sent as it is, or after a zero: no hardware type (RFC 2132 §9.14). */
function clientIdKeys(text: string): string[] {
  const bytes = text.toLowerCase()
  if (HEX.test(bytes)) return [`client id ${bytes}`]
  return [clientIdKey(Buffer.from(text)), clientIdKey(Buffer.from(`\0${text}`))]
}

/** What a machine that was recorded is known by, strongest first. Its client identifiers are known to DHCP alone. */
export function keysOfMachine({ macs, hardware, switchPort }: Machine): string[] {
  const id = uuidKey(hardware.uuid)
  return [...macs, ...(id === null ? [] : [id]), ...(switchPort === null ? [] : [portKey(switchPort)])]
}
