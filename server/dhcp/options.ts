// DHCP options (RFC 2132): the codes as data, and the two functions that walk an options area. Nothing here knows of
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

const PAD = 0
const END = 255

/** The raw values of one or more areas by code, joined over the areas (RFC 3396 §7: options, `file`, `sname`). */
export function readOptions(areas: readonly Buffer[]): Map<number, Buffer> {
  const pieces = new Map<number, Buffer[]>()
  for (const area of areas) {
    for (const [code, value] of entries(area)) {
      const found = pieces.get(code)
      if (found === undefined) pieces.set(code, [value])
      else found.push(value)
    }
  }
  return new Map([...pieces].map(([code, values]) => [code, values.length === 1 ? values[0]! : Buffer.concat(values)]))
}

/** Gives raw values their names and types; codes that are not in the table are left out. */
export function decodeOptions(values: ReadonlyMap<number, Buffer>): Options {
  const options: Record<string, unknown> = {}
  for (const [name, { code, codec }] of rows) {
    const bytes = values.get(code)
    if (bytes !== undefined) options[name] = named(name, code, () => codec.decode(bytes))
  }
  return options
}

/** The options area for these options, with its end mark. */
export function encodeOptions(options: Options): Buffer {
  const parts: Buffer[] = []
  for (const [name, { code, codec }] of rows) {
    const value = options[name]
    if (value === undefined) continue
    for (const chunk of cut(codec.encode(value), 255)) parts.push(Buffer.of(code, chunk.length), chunk)
  }
  return Buffer.concat([...parts, Buffer.of(END)])
}

/** Walks one area, which may also be the inside of an option (43, 175), to its end mark or its end. */
export function* entries(area: Buffer): Generator<[code: number, value: Buffer]> {
  for (let at = 0; at < area.length;) {
    const code = area.readUInt8(at)
    if (code === END) return
    if (code === PAD) {
      at += 1
      continue
    }
    const start = at + 2
    const end = start + (area[at + 1] ?? Infinity)
    if (end > area.length) throw new MalformedPacket(`option ${code} runs past the end of its area`)
    yield [code, area.subarray(start, end)]
    at = end
  }
}

function cut(bytes: Buffer, size: number): Buffer[] {
  if (bytes.length <= size) return [bytes]
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size))
}

function named<T>(name: string, code: number, decode: () => T): T {
  try {
    return decode()
  } catch (cause) {
    throw new MalformedPacket(`option ${code} (${name})`, { cause })
  }
}

interface Option<T> {
  readonly code: number
  readonly codec: Codec<T>
}

function option<T>(code: number, codec: Codec<T>): Option<T> {
  return { code, codec }
}
