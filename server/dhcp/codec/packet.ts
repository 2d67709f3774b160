// A DHCP message: the BOOTP header with names that people use, and its options (RFC 2131 §2). Knows bytes only; what is
// answered to whom is in engine.ts.
//
//    0 op     1 htype  2 hlen   3 hops           108 file  (128)
//    4 xid             8 secs   10 flags         236 63 82 53 63
//   12 ciaddr 16 yiaddr 20 siaddr 24 giaddr      240 options …
//   28 chaddr (16)     44 sname (64)
//
// Option 52 says that `file` (1), `sname` (2) or both (3) hold options instead of text (RFC 2132 §9.3).

import { MalformedPacket, readAddress, writeAddress } from './codec.ts'
import { decodeOptions, type Options, readOptions, sizeOfOptions, writeOptions } from './options.ts'

export interface Packet {
  readonly op: 'request' | 'reply'
  readonly hops: number
  /** xid: the client's number for this exchange. */
  readonly transaction: number
  readonly seconds: number
  /** The client cannot receive unicast before it has its address. */
  readonly broadcast: boolean
  /** ciaddr: the address that the client already uses. */
  readonly clientAddress: string
  /** yiaddr: the address that the client is given. */
  readonly yourAddress: string
  /** siaddr: where the boot file is. */
  readonly nextServer: string
  /** giaddr: the relay agent that passed this on. */
  readonly relay: string
  /** chaddr, as the store spells it. */
  readonly mac: string
  readonly serverName: string
  readonly bootFile: string
  readonly options: Options
}

export const messageType = {
  discover: 1,
  offer: 2,
  request: 3,
  decline: 4,
  ack: 5,
  nak: 6,
  release: 7,
  inform: 8
} as const
export type MessageName = keyof typeof messageType

export const NO_ADDRESS = '0.0.0.0'
/** No client sends more than one Ethernet frame; reassembled giants are not worth reading. */
export const PACKET_SIZE_MAX = 2048
/** BOOTP's own size: some relays and ROMs drop less (RFC 1542 §2.1). */
const PACKET_SIZE_MIN = 300
const COOKIE = 0x63825363
const NAME = 44
const FILE = 108
const FILE_END = 236
const HEADER = 240
const ETHERNET = 1

/** Reads a message; throws MalformedPacket on anything that is not one, or not from an Ethernet client. */
export function decodePacket(bytes: Buffer): Packet {
  if (bytes.length < HEADER) throw new MalformedPacket(`want at least ${HEADER} bytes, got ${bytes.length}`)
  if (bytes.length > PACKET_SIZE_MAX) throw new MalformedPacket(`want at most ${PACKET_SIZE_MAX} bytes`)
  if (bytes.readUInt32BE(236) !== COOKIE) throw new MalformedPacket('no DHCP cookie')
  const op = bytes[0]
  if (op !== 1 && op !== 2) throw new MalformedPacket(`unknown op ${op}`)
  if (bytes[1] !== ETHERNET || bytes[2] !== 6) throw new MalformedPacket(`not an Ethernet client: type ${bytes[1]}`)
  const options = bytes.subarray(HEADER)
  let places = readOptions([options])
  const overload = places.get(52)
  const marks = overload === undefined ? 0 : (overload.bytes[overload.start] ?? 0)
  const inFile = (marks & 1) !== 0
  const inName = (marks & 2) !== 0
  if (inFile || inName) {
    const more = [...(inFile ? [bytes.subarray(FILE, FILE_END)] : []), ...(inName ? [bytes.subarray(NAME, FILE)] : [])]
    places = readOptions([options, ...more])
  }
  return {
    op: op === 1 ? 'request' : 'reply',
    hops: bytes[3]!,
    transaction: bytes.readUInt32BE(4),
    seconds: bytes.readUInt16BE(8),
    broadcast: (bytes.readUInt16BE(10) & 0x8000) !== 0,
    clientAddress: readAddress(bytes, 12),
    yourAddress: readAddress(bytes, 16),
    nextServer: readAddress(bytes, 20),
    relay: readAddress(bytes, 24),
    mac: readMac(bytes, 28),
    serverName: inName ? '' : zeroEnded(bytes, NAME, FILE),
    bootFile: inFile ? '' : zeroEnded(bytes, FILE, FILE_END),
    options: decodeOptions(places)
  }
}

/** The same for bytes from a wire: null for what is no message. */
export function tryDecode(bytes: Buffer): Packet | null {
  try {
    return decodePacket(bytes)
  } catch (error) {
    if (error instanceof MalformedPacket) return null
    throw error
  }
}

/** Writes a message, padded to BOOTP's size. A server name or boot file too long for its field is left out of it. */
export function encodePacket(packet: Packet): Buffer {
  const bytes = scratch.fill(0, 0, HEADER)
  bytes[0] = packet.op === 'request' ? 1 : 2
  bytes[1] = ETHERNET
  bytes[2] = 6
  bytes[3] = packet.hops
  bytes.writeUInt32BE(packet.transaction, 4)
  bytes.writeUInt16BE(packet.seconds, 8)
  bytes.writeUInt16BE(packet.broadcast ? 0x8000 : 0, 10)
  writeAddress(packet.clientAddress, bytes, 12)
  writeAddress(packet.yourAddress, bytes, 16)
  writeAddress(packet.nextServer, bytes, 20)
  writeAddress(packet.relay, bytes, 24)
  writeMac(packet.mac, bytes, 28)
  writeText(bytes, packet.serverName, NAME, FILE)
  writeText(bytes, packet.bootFile, FILE, FILE_END)
  bytes.writeUInt32BE(COOKIE, 236)
  const end = writeOptions(packet.options, bytes, HEADER)
  if (end > scratch.length) throw new RangeError(`a message of ${end} bytes`)
  // Of Node's pool: memory of its own for each is what the garbage collector is slow with.
  const own = Buffer.allocUnsafe(Math.max(end, PACKET_SIZE_MIN)).fill(0, end)
  scratch.copy(own, 0, 0, end)
  return own
}

/** Where a message is written before its length is known; no datagram is longer. */
const scratch = Buffer.alloc(1 << 16)

/** How many bytes encodePacket() would give. */
export function sizeOfPacket({ options }: Packet): number {
  return Math.max(HEADER + sizeOfOptions(options), PACKET_SIZE_MIN)
}

const names = new Map(Object.entries(messageType).map(([name, type]) => [type, name as MessageName]))

/** The name of a message type, or null for one that no server is asked (or none at all: plain BOOTP). */
export function messageName({ options }: Packet): MessageName | null {
  return names.get(options.messageType as (typeof messageType)[MessageName]) ?? null
}

const hexOf = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

function readMac(bytes: Buffer, at: number): string {
  let mac = hexOf[bytes[at]!]!
  for (let n = 1; n < 6; n++) mac += `:${hexOf[bytes[at + n]!]}`
  return mac
}

function writeMac(mac: string, into: Buffer, at: number): void {
  for (let n = 0; n < 6; n++) into[at + n] = Number.parseInt(mac.slice(n * 3, n * 3 + 2), 16)
}

function zeroEnded(bytes: Buffer, start: number, end: number): string {
  if (bytes[start] === 0) return ''
  const zero = bytes.indexOf(0, start)
  return bytes.toString('utf8', start, zero === -1 || zero > end ? end : zero)
}

function writeText(into: Buffer, value: string, start: number, end: number): void {
  if (value !== '' && Buffer.byteLength(value) < end - start) into.write(value, start)
}
