// A small DHCP client for simulated machines and tests: DISCOVER, OFFER, REQUEST, ACK as firmware does it, with the
// options that real firmware sends. Every client of a rack shares the client port (SO_REUSEADDR), as on one wire.

import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { randomInt } from 'node:crypto'
import type { Options } from '../../server/dhcp/codec/options.ts'
import { encodeNested, encodeUuid, ipxeFeature } from '../../server/dhcp/codec/nested.ts'
import { encodePacket, messageType, NO_ADDRESS, type Packet, tryDecode } from '../../server/dhcp/codec/packet.ts'

/** What is asking: the firmware of the captures, our iPXE once it runs, or the installed system. */
export type Asker =
  | 'bios-rom-2019'
  | 'bios-ipxe'
  | 'uefi-pxe'
  | 'uefi-ipxe'
  | 'uefi-http'
  | 'arm64-pxe'
  | 'arm64-ipxe'
  | 'arm64-http'
  | 'linux'

export interface AddressRequest {
  readonly mac: string
  readonly asker: Asker
  /** SMBIOS UUID, sent by firmware as option 97. */
  readonly uuid?: string
  readonly hostname?: string
  readonly serverPort: number
  readonly clientPort: number
  /** Where requests go: the loopback's broadcast unless said otherwise. */
  readonly broadcast?: string
  readonly timeoutMs?: number
  readonly attempts?: number
  readonly signal?: AbortSignal
}

export interface Address {
  readonly address: string
  readonly server: string
  readonly nextServer: string
  readonly leaseSeconds: number
  readonly netmask: string | null
  readonly router: string | null
  /** Option 67, else the `file` field: a TFTP name or a URL; null when the server gave none. */
  readonly bootFile: string | null
  readonly offer: Packet
  readonly ack: Packet
}

/** Takes an address as `asker` would; rejects when nobody answers in time, or with a NAK. */
export async function requestAddress(wanted: AddressRequest): Promise<Address> {
  const socket = await openClient(wanted.clientPort)
  try {
    const base = packetOf(wanted)
    const discover: Packet = { ...base, options: { messageType: messageType.discover, ...base.options } }
    const offer = await exchange(socket, discover, wanted)
    const server = offer.options.serverId ?? NO_ADDRESS
    const options: Options = {
      messageType: messageType.request,
      serverId: server,
      requestedAddress: offer.yourAddress,
      ...base.options
    }
    const ack = await exchange(socket, { ...base, options }, wanted)
    if (ack.options.messageType === messageType.nak) throw new Error(`refused: ${ack.options.message ?? 'NAK'}`)
    return addressOf(server, offer, ack)
  } finally {
    socket.close()
  }
}

/** A socket on the client port that hears broadcasts; close it. */
export async function openClient(port: number): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true })
  socket.bind(port, '0.0.0.0')
  await once(socket, 'listening')
  socket.setBroadcast(true)
  return socket
}

/** Sends until an answer to this very request comes; rejects after the last attempt. */
export async function exchange(
  socket: Socket,
  packet: Packet,
  { serverPort, broadcast = '127.255.255.255', timeoutMs = 4000, attempts = 4, signal }: Omit<AddressRequest, 'asker'>
): Promise<Packet> {
  const bytes = encodePacket(packet)
  for (let attempt = 0; attempt < attempts; attempt++) {
    const heard = answerTo(
      socket,
      packet,
      AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])])
    )
    socket.send(bytes, serverPort, broadcast)
    const answer = await heard
    if (answer !== null) return answer
    signal?.throwIfAborted()
  }
  throw new Error(`no DHCP answer for ${packet.mac} on port ${serverPort} after ${attempts} attempts`)
}

function answerTo(socket: Socket, { transaction, mac }: Packet, signal: AbortSignal): Promise<Packet | null> {
  return new Promise(resolve => {
    const end = (answer: Packet | null): void => {
      socket.off('message', heard)
      signal.removeEventListener('abort', late)
      resolve(answer)
    }
    // Aborted while the socket was being opened: the event has been, and no other comes.
    if (signal.aborted) return resolve(null)
    const late = (): void => end(null)
    const heard = (bytes: Buffer): void => {
      const answer = tryDecode(bytes)
      if (answer?.op === 'reply' && answer.transaction === transaction && answer.mac === mac) end(answer)
    }
    signal.addEventListener('abort', late)
    socket.on('message', heard)
  })
}

/** The header of a request, with the options that the asker puts in every message. */
export function packetOf({
  mac,
  asker,
  uuid,
  hostname
}: Pick<AddressRequest, 'mac' | 'asker' | 'uuid' | 'hostname'>): Packet {
  return {
    op: 'request',
    hops: 0,
    transaction: randomInt(2 ** 32),
    seconds: 4,
    broadcast: asker.endsWith('-pxe') || asker.endsWith('-http'),
    clientAddress: NO_ADDRESS,
    yourAddress: NO_ADDRESS,
    nextServer: NO_ADDRESS,
    relay: NO_ADDRESS,
    mac,
    serverName: '',
    bootFile: '',
    options: {
      ...optionsOf(asker),
      ...(uuid === undefined || asker === 'linux' ? {} : { clientUuid: encodeUuid(uuid) }),
      ...(hostname === undefined ? {} : { hostname })
    }
  }
}

const ipxe2019 = encodeNested([[ipxeFeature.http, Buffer.of(1)]])
const ipxe2025 = encodeNested([
  [ipxeFeature.http, Buffer.of(1)],
  [ipxeFeature.https, Buffer.of(1)]
])

function optionsOf(asker: Asker): Options {
  switch (asker) {
    case 'bios-rom-2019':
      return { ...firmware('PXEClient', 0, 0x0201), userClass: Buffer.from('iPXE'), ipxe: ipxe2019 }
    case 'bios-ipxe':
      return { ...firmware('PXEClient', 0, 0x0201), userClass: Buffer.from('iPXE'), ipxe: ipxe2025 }
    case 'uefi-pxe':
      return { ...firmware('PXEClient', 7, 0x0300), maxMessageSize: 65280 }
    case 'uefi-ipxe':
      return { ...firmware('PXEClient', 7, 0x0310), userClass: Buffer.from('iPXE'), ipxe: ipxe2025 }
    case 'uefi-http':
      return { ...firmware('HTTPClient', 16, 0x0300), maxMessageSize: 65280 }
    case 'arm64-pxe':
      return { ...firmware('PXEClient', 11, 0x0300), maxMessageSize: 65280 }
    case 'arm64-ipxe':
      return { ...firmware('PXEClient', 11, 0x0310), userClass: Buffer.from('iPXE'), ipxe: ipxe2025 }
    case 'arm64-http':
      return { ...firmware('HTTPClient', 19, 0x0300), maxMessageSize: 65280 }
    case 'linux':
      return { parameterList: [1, 3, 6, 12, 15, 28, 42], maxMessageSize: 576, vendorClass: 'udhcp 1.35.0' }
  }
}

function firmware(kind: 'PXEClient' | 'HTTPClient', arch: number, version: number): Options {
  const major = version >>> 8
  const minor = version & 0xff
  const number = (value: number, digits: number): string => String(value).padStart(digits, '0')
  return {
    parameterList: [1, 3, 6, 12, 15, 43, 60, 66, 67, 97],
    vendorClass: `${kind}:Arch:${number(arch, 5)}:UNDI:${number(major, 3)}${number(minor, 3)}`,
    clientArch: [arch],
    clientInterface: Buffer.of(1, major, minor)
  }
}

function addressOf(server: string, offer: Packet, ack: Packet): Address {
  const file = ack.options.bootFileName ?? ack.bootFile
  return {
    address: ack.yourAddress,
    server,
    nextServer: ack.nextServer,
    leaseSeconds: ack.options.leaseSeconds ?? 0,
    netmask: ack.options.subnetMask ?? null,
    router: ack.options.routers?.[0] ?? null,
    bootFile: file === '' ? null : file,
    offer,
    ack
  }
}
