// What is inside the options that hold something of their own: 43 and 175 (encapsulated options), 77 (user classes),
// 97 (the SMBIOS UUID). All of it is hostile and none of it is needed to lease an address, so what cannot be read here
// counts as absent: the packet is answered all the same.

import { MalformedPacket } from './codec.ts'
import { entries } from './options.ts'

/** Encapsulated options by code (RFC 2132 §8.4); empty when they do not parse. */
export function readNested(bytes: Buffer | undefined): ReadonlyMap<number, Buffer> {
  if (bytes === undefined) return new Map()
  try {
    return new Map(entries(bytes))
  } catch (error) {
    if (error instanceof MalformedPacket) return new Map()
    throw error
  }
}

/** Encapsulated options with their own end mark, which PXE ROMs look for (PXE 2.1 §2.2). */
export function encodeNested(values: ReadonlyArray<readonly [code: number, value: Buffer]>): Buffer {
  return Buffer.concat([...values.flatMap(([code, value]) => [Buffer.of(code, value.length), value]), Buffer.of(255)])
}

/**
 * The user classes of option 77. RFC 3004 §4 puts a length before each; iPXE and most PXE ROMs send the bare text.
 * Bytes that divide exactly into length and text are read the first way, anything else is one bare class.
 */
export function userClasses(bytes: Buffer | undefined): readonly string[] {
  if (bytes === undefined || bytes.length === 0) return []
  const classes: string[] = []
  let at = 0
  while (at < bytes.length) {
    const size = bytes.readUInt8(at)
    if (size === 0 || at + 1 + size > bytes.length) return [bytes.toString('latin1')]
    classes.push(bytes.toString('latin1', at + 1, at + 1 + size))
    at += 1 + size
  }
  return classes
}

/**
 * The SMBIOS UUID of option 97 (RFC 4578 §2.3: type 0, then 16 bytes), as firmware setup screens show it: the first
 * three fields are little-endian on the wire (seen: 5afe0001 as 0100fe5a). Null when it is not one.
 */
export function uuidOf(bytes: Buffer | undefined): string | null {
  if (bytes?.length !== 17 || bytes[0] !== 0) return null
  const order = [4, 3, 2, 1, 6, 5, 8, 7, 9, 10, 11, 12, 13, 14, 15, 16]
  const hex = order.map(at => bytes[at]!.toString(16).padStart(2, '0')).join('')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** Option 97 for a UUID as people write it: the other way round, for clients. */
export function encodeUuid(uuid: string): Buffer {
  const bytes = Buffer.from(uuid.replaceAll('-', ''), 'hex')
  const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]
  return Buffer.from([0, ...order.map(at => bytes[at]!)])
}

/** Features an iPXE names in option 175, by their code (ipxe/features.h). */
export const ipxeFeature = { http: 0x13, https: 0x14 } as const

/** Tells iPXE not to wait three seconds for a proxyDHCP offer (option 175, sub-option 176 "no-pxedhcp"). */
export const noPxeDhcp: Buffer = Buffer.of(176, 1, 1)
