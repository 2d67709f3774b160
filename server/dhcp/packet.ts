// A DHCP message: the BOOTP header with names that people use, and its options (RFC 2131 §2). Knows bytes only; what is
// answered to whom is in engine.ts.
//
//    0 op     1 htype  2 hlen   3 hops           108 file  (128)
//    4 xid             8 secs   10 flags         236 63 82 53 63
//   12 ciaddr 16 yiaddr 20 siaddr 24 giaddr      240 options …
//   28 chaddr (16)     44 sname (64)
//
// Option 52 says that `file` (1), `sname` (2) or both (3) hold options instead of text (RFC 2132 §9.3).

import { MalformedPacket } from './codec.ts'
import { decodeOptions, encodeOptions, type Options, readOptions } from './options.ts'

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
  const file = bytes.subarray(108, 236)
  const name = bytes.subarray(44, 108)
  const overload = readOptions([options]).get(52)?.[0] ?? 0
  const inFile = (overload & 1) !== 0
  const inName = (overload & 2) !== 0
  return {
    op: op === 1 ? 'request' : 'reply',
    hops: bytes.readUInt8(3),
    transaction: bytes.readUInt32BE(4),
    seconds: bytes.readUInt16BE(8),
    broadcast: (bytes.readUInt16BE(10) & 0x8000) !== 0,
    clientAddress: bytes.subarray(12, 16).join('.'),
    yourAddress: bytes.subarray(16, 20).join('.'),
    nextServer: bytes.subarray(20, 24).join('.'),
    relay: bytes.subarray(24, 28).join('.'),
    mac: bytes.toString('hex', 28, 34).replace(/..(?!$)/g, '$&:'),
    serverName: inName ? '' : zeroEnded(name),
    bootFile: inFile ? '' : zeroEnded(file),
    options: decodeOptions(readOptions([options, ...(inFile ? [file] : []), ...(inName ? [name] : [])]))
  }
}

/** Writes a message, padded to BOOTP's size. A server name or boot file too long for its field is left out of it. */
export function encodePacket(packet: Packet): Buffer {
  const header = Buffer.alloc(HEADER)
  header[0] = packet.op === 'request' ? 1 : 2
  header[1] = ETHERNET
  header[2] = 6
  header[3] = packet.hops
  header.writeUInt32BE(packet.transaction, 4)
  header.writeUInt16BE(packet.seconds, 8)
  header.writeUInt16BE(packet.broadcast ? 0x8000 : 0, 10)
  for (const [i, address] of [packet.clientAddress, packet.yourAddress, packet.nextServer, packet.relay].entries()) {
    header.set(address.split('.').map(Number), 12 + i * 4)
  }
  header.set(Buffer.from(packet.mac.replaceAll(':', ''), 'hex'), 28)
  writeText(header, packet.serverName, 44, 64)
  writeText(header, packet.bootFile, 108, 128)
  header.writeUInt32BE(COOKIE, 236)
  const bytes = Buffer.concat([header, encodeOptions(packet.options)])
  return bytes.length >= PACKET_SIZE_MIN ? bytes : Buffer.concat([bytes], PACKET_SIZE_MIN)
}

/** The name of a message type, or null for one that no server is asked (or none at all: plain BOOTP). */
export function messageName(packet: Packet): MessageName | null {
  const names = Object.keys(messageType) as MessageName[]
  return names.find(name => messageType[name] === packet.options.messageType) ?? null
}

function zeroEnded(bytes: Buffer): string {
  const end = bytes.indexOf(0)
  return bytes.toString('utf8', 0, end === -1 ? bytes.length : end)
}

function writeText(header: Buffer, value: string, at: number, size: number): void {
  const bytes = Buffer.from(value, 'utf8')
  if (bytes.length < size) header.set(bytes, at)
}
