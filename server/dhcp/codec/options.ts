// DHCP options (RFC 2132): the codes as data, and the functions that walk an options area. Nothing here knows of
// BOOTP headers, sockets or policy; what is inside options 43, 77, 97 and 175 is in nested.ts.
//
//   +------+-----+---- ~ ----+
//   | code | len |   value   |     0 = pad and 255 = end have no length byte
//   +------+-----+---- ~ ----+
//
// RFC 3396: one code seen twice is one value cut in two, so decode joins and encode cuts.

import { type Codec, ip, listOf, MalformedPacket, raw, text, u16, u32, u8 } from './codec.ts'

// The order of this table is the order on the wire: old PXE ROMs want 53 and 54 first, and a relay agent wants its
// option 82 last (RFC 3046 §2.1).
const table = {
  messageType: option(53, u8),
  serverId: option(54, ip),
  leaseSeconds: option(51, u32),
  renewalSeconds: option(58, u32),
  rebindingSeconds: option(59, u32),
  subnetMask: option(1, ip),
  routers: option(3, listOf(ip, 4)),
  dnsServers: option(6, listOf(ip, 4)),
  hostname: option(12, text),
  domain: option(15, text),
  broadcastAddress: option(28, ip),
  requestedAddress: option(50, ip),
  parameterList: option(55, listOf(u8, 1)),
  message: option(56, text),
  maxMessageSize: option(57, u16),
  vendorClass: option(60, text),
  clientId: option(61, raw),
  vendorSpecific: option(43, raw),
  tftpServerName: option(66, text),
  bootFileName: option(67, text),
  userClass: option(77, raw),
  clientArch: option(93, listOf(u16, 2)),
  clientInterface: option(94, raw),
  clientUuid: option(97, raw),
  tftpServers: option(150, listOf(ip, 4)),
  ipxe: option(175, raw),
  relayAgent: option(82, raw)
}

type Table = typeof table
type Value<O> = O extends Option<infer T> ? T : never

export type Options = { readonly [Name in keyof Table]?: Value<Table[Name]> }
export type OptionName = keyof Options

// Each row pairs a name with its own codec; that pairing is checked above and erased here.
const rows = Object.entries(table) as unknown as ReadonlyArray<[name: OptionName, option: Option<unknown>]>
const rowOf: ReadonlyArray<(typeof rows)[number] | undefined> = byCode()

const PAD = 0
const END = 255
/** What one length byte can say; a longer value is cut. */
const VALUE_MAX = 255

/** Where the value of an option stands; two pieces of one code are joined in bytes of their own. */
export interface Place {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
}

/** Where the values of all areas are, by code; pieces of one are joined (RFC 3396 §7: options, `file`, `sname`). */
export function readOptions(areas: readonly Buffer[]): Map<number, Place> {
  const places = new Map<number, Place>()
  for (const area of areas) {
    walk(area, (code, start, end) => {
      const former = places.get(code)
      places.set(code, former === undefined ? { bytes: area, start, end } : join(former, area.subarray(start, end)))
    })
  }
  return places
}

/** Gives raw values their names and types; codes that are not in the table are left out. */
export function decodeOptions(places: ReadonlyMap<number, Place>): Options {
  const options: Record<string, unknown> = {}
  for (const [code, { bytes, start, end }] of places) {
    const row = rowOf[code]
    if (row === undefined) continue
    const [name, { codec }] = row
    try {
      options[name] = codec.read(bytes, start, end)
    } catch (cause) {
      throw new MalformedPacket(`option ${code} (${name})`, { cause })
    }
  }
  return options
}

/** How long the options area for these options is, with its end mark. */
export function sizeOfOptions(options: Options): number {
  let size = 1
  for (const [name, { codec }] of rows) {
    const value = options[name]
    if (value === undefined) continue
    const length = codec.size(value)
    size += length + 2 * Math.max(1, Math.ceil(length / VALUE_MAX))
  }
  return size
}

/** Writes the options area, with its end mark; returns where it ends. */
export function writeOptions(options: Options, into: Buffer, from: number): number {
  let at = from
  for (const [name, { code, codec }] of rows) {
    const value = options[name]
    if (value === undefined) continue
    const length = codec.size(value)
    if (length > VALUE_MAX) at = writeCut(code, codec.encode(value), into, at)
    else {
      into[at] = code
      into[at + 1] = length
      codec.write(value, into, at + 2)
      at += 2 + length
    }
  }
  into[at] = END
  return at + 1
}

/** The options area for these options, with its end mark. */
export function encodeOptions(options: Options): Buffer {
  const bytes = Buffer.alloc(sizeOfOptions(options))
  writeOptions(options, bytes, 0)
  return bytes
}

/** The options of one area, which may also be the inside of an option (43, 175), to its end mark or its end. */
export function entries(area: Buffer): [code: number, value: Buffer][] {
  const found: [code: number, value: Buffer][] = []
  walk(area, (code, start, end) => found.push([code, area.subarray(start, end)]))
  return found
}

function walk(area: Buffer, found: (code: number, start: number, end: number) => void): void {
  for (let at = 0; at < area.length;) {
    const code = area[at]!
    if (code === END) return
    if (code === PAD) {
      at += 1
      continue
    }
    const start = at + 2
    const end = start + (area[at + 1] ?? Infinity)
    if (end > area.length) throw new MalformedPacket(`option ${code} runs past the end of its area`)
    found(code, start, end)
    at = end
  }
}

function join({ bytes, start, end }: Place, more: Buffer): Place {
  const whole = Buffer.concat([bytes.subarray(start, end), more])
  return { bytes: whole, start: 0, end: whole.length }
}

function writeCut(code: number, value: Buffer, into: Buffer, from: number): number {
  let at = from
  for (let start = 0; start < value.length; start += VALUE_MAX) {
    const piece = value.subarray(start, start + VALUE_MAX)
    into[at] = code
    into[at + 1] = piece.length
    into.set(piece, at + 2)
    at += 2 + piece.length
  }
  return at
}

function byCode(): ReadonlyArray<(typeof rows)[number] | undefined> {
  const found: (typeof rows)[number][] = []
  for (const row of rows) found[row[1].code] = row
  return found
}

interface Option<T> {
  readonly code: number
  readonly codec: Codec<T>
}

function option<T>(code: number, codec: Codec<T>): Option<T> {
  return { code, codec }
}
