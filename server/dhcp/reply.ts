// The packets that the engine answers with: which options, where they go, how large they may be. The folklore of
// firmware is obeyed here, each piece with its source.

import type { Lease } from '../core/allocation.ts'
import type { Context, Subnet } from './context.ts'
import { type BootFile, bootFileFor, type Firmware } from './firmware/firmware.ts'
import { encodeNested, noPxeDhcp, readNested } from './codec/nested.ts'
import type { OptionName, Options } from './codec/options.ts'
import { messageType, NO_ADDRESS, type Packet, sizeOfPacket } from './codec/packet.ts'
import { originOf } from './codec/relay.ts'

export interface Reply {
  readonly kind: 'reply'
  readonly type: 'offer' | 'ack' | 'nak'
  readonly packet: Packet
  readonly to: Destination
  /** To take up and commit before an ACK leaves; null when nothing is leased. */
  readonly lease: Lease | null
  /** The address to keep for this machine until it asks for it; null when nothing is offered. */
  readonly hold: { readonly address: string; readonly until: Date } | null
  readonly boot: BootFile | null
  /** Why, for a NAK. */
  readonly reason: string | null
}

export type Destination =
  | { readonly kind: 'broadcast' }
  | { readonly kind: 'unicast'; readonly address: string; readonly port: number }

export function offer(
  request: Packet,
  firmware: Firmware | null,
  subnet: Subnet,
  context: Context,
  address: string
): Reply {
  const until = new Date(context.now.getTime() + subnet.offerMs)
  const reply = leasing(request, 'offer', firmware, subnet, context, address)
  return { ...reply, hold: { address, until } }
}

/** With a lease, or without one for an INFORM, which has its address already (RFC 2131 §4.3.5). */
export function ack(
  request: Packet,
  firmware: Firmware | null,
  subnet: Subnet,
  context: Context,
  lease: Lease | null
): Reply {
  return { ...leasing(request, 'ack', firmware, subnet, context, lease?.address ?? null), lease }
}

export function nak(request: Packet, context: Context, reason: string): Reply {
  const relayed = request.relay !== NO_ADDRESS
  const packet: Packet = {
    ...header(request),
    clientAddress: NO_ADDRESS,
    // The client's address is wrong, so the relay must broadcast (RFC 2131 §4.3.2).
    broadcast: request.broadcast || relayed,
    options: {
      messageType: messageType.nak,
      serverId: serverIdOf(request, context),
      message: reason,
      ...echoed(request)
    }
  }
  const to = relayed ? toRelay(request, context) : broadcast
  return { kind: 'reply', type: 'nak', packet, to, lease: null, hold: null, boot: null, reason }
}

/**
 * Boot file only. Discovery control 8 in option 43 tells PXE to take the file named here and look for no boot server
 * (PXE 2.1 §2.2.3); option 60 alone makes OVMF take the answer for a boot server's and hang (seen). On 4011 the answer
 * goes to the port that asked: OVMF asks from 4011, iPXE from 68 (seen), and iPXE's boot item is given back to it.
 */
export function proxyReply(request: Packet, type: 'offer' | 'ack', firmware: Firmware, context: Context): Reply {
  const boot = bootFileFor(firmware, context.boot)
  const item = readNested(request.options.vendorSpecific).get(71)
  const control: ReadonlyArray<readonly [number, Buffer]> = [
    [6, Buffer.of(8)],
    ...(item === undefined ? [] : [[71, item] as const])
  ]
  const packet: Packet = {
    ...header(request),
    ...bootFields(boot, context),
    options: {
      messageType: messageType[type],
      serverId: serverIdOf(request, context),
      ...(firmware.kind === 'http' ? {} : { vendorSpecific: encodeNested(control) }),
      ...bootOptions(boot, context),
      vendorClass: firmware.kind === 'http' ? 'HTTPClient' : 'PXEClient',
      ...echoed(request)
    }
  }
  const asker: Destination = { kind: 'unicast', ...context.peer }
  const to = context.door === 'proxy' ? asker : destination(request, context, null)
  return finish(request, { type, packet, to, boot })
}

function leasing(
  request: Packet,
  type: 'offer' | 'ack',
  firmware: Firmware | null,
  subnet: Subnet,
  context: Context,
  address: string | null
): Reply {
  const boot = firmware === null ? null : bootFileFor(firmware, context.boot)
  const packet: Packet = {
    ...header(request),
    yourAddress: address ?? NO_ADDRESS,
    ...bootFields(boot, context),
    options: {
      messageType: messageType[type],
      serverId: serverIdOf(request, context),
      ...(address === null ? {} : times(subnet.leaseSeconds)),
      ...subnet.options,
      ...bootOptions(boot, context),
      ...tftpServers(request, boot, context),
      // HTTP boot takes no answer without it; PXE must not get its own class without option 43 (see proxyReply).
      ...(firmware?.kind === 'http' ? { vendorClass: 'HTTPClient' } : {}),
      ...(firmware?.kind === 'ipxe' || firmware?.kind === 'old-ipxe' ? { ipxe: noPxeDhcp } : {}),
      ...echoed(request)
    }
  }
  const using = type === 'ack' ? (address ?? request.clientAddress) : null
  return finish(request, { type, packet, to: destination(request, context, using), boot })
}

function times(leaseSeconds: number): Options {
  const renewalSeconds = Math.floor(leaseSeconds / 2) // RFC 2131 §4.4.5
  return { leaseSeconds, renewalSeconds, rebindingSeconds: Math.floor(leaseSeconds * 0.875) }
}

/** Our address, or the one that the relay lends us, so that renewals go through it as well (RFC 5107 §4). */
function serverIdOf(request: Packet, { server }: Context): string {
  return originOf(request).serverId ?? server
}

/** In the header as well as in option 67: shim takes the folder of its second stage from the header alone (seen). */
function bootFields(boot: BootFile | null, { server }: Context): Pick<Packet, 'nextServer' | 'bootFile'> {
  return boot === null || boot.by === 'none'
    ? { nextServer: NO_ADDRESS, bootFile: '' }
    : { nextServer: server, bootFile: boot.file }
}

function bootOptions(boot: BootFile | null, { server }: Context): Options {
  if (boot === null || boot.by === 'none') return {}
  return { ...(boot.by === 'tftp' ? { tftpServerName: server } : {}), bootFileName: boot.file }
}

/** Option 150 goes to those that ask for it alone: RFC 5859 §3, phones and some switches that boot like machines. */
function tftpServers({ options }: Packet, boot: BootFile | null, { server }: Context): Options {
  return boot?.by === 'tftp' && options.parameterList?.includes(150) === true ? { tftpServers: [server] } : {}
}

/** What a client or a relay wants to see again: RFC 6842 (61), PXE 2.1 (97), RFC 3046 §2.2 (82). */
function echoed({ options: { clientId, clientUuid, relayAgent } }: Packet): Options {
  return {
    ...(clientId === undefined ? {} : { clientId }),
    ...(clientUuid === undefined ? {} : { clientUuid }),
    ...(relayAgent === undefined ? {} : { relayAgent })
  }
}

function header(request: Packet): Packet {
  return {
    ...request,
    op: 'reply',
    hops: 0,
    seconds: 0,
    yourAddress: NO_ADDRESS,
    nextServer: NO_ADDRESS,
    serverName: '',
    bootFile: '',
    options: {}
  }
}

const broadcast: Destination = { kind: 'broadcast' }

/**
 * RFC 2131 §4.1. A client that does not use its address yet gets a broadcast: all take it, whatever their flag (seen).
 * To send unicast to an address that nobody answers for yet one must write into the system's ARP table, which needs
 * more rights than the rest of the server.
 * `using` is the address it was checked to have: no other is sent to, whatever the packet names.
 */
function destination(request: Packet, context: Context, using: string | null): Destination {
  if (request.relay !== NO_ADDRESS) return toRelay(request, context)
  return using === null || request.clientAddress !== using
    ? broadcast
    : { kind: 'unicast', address: using, port: context.ports.client }
}

/**
 * A proxy has no subnets to tell a relay by, so it answers who sent the packet: nobody else can be aimed at, and a
 * relay with several addresses (it sends from another than giaddr, as dhcrelay does) hears that as well.
 */
function toRelay(request: Packet, { mode, peer, ports }: Context): Destination {
  const port = originOf(request).sourcePort ? peer.port : ports.server
  return { kind: 'unicast', address: mode === 'proxy' ? peer.address : request.relay, port }
}

/** The most that fits into what the client says it can take. OVMF says 65280, which no Ethernet frame holds (seen). */
const SIZE_MAX = 1500
const SIZE_MIN = 576
const IP_AND_UDP = 28
/** Left out in this order when a reply is too large: no client needs them to boot. */
const dispensable: readonly OptionName[] = [
  'tftpServers',
  'domain',
  'broadcastAddress',
  'rebindingSeconds',
  'renewalSeconds',
  'dnsServers',
  'clientUuid',
  'clientId'
]

function finish(request: Packet, reply: Pick<Reply, 'type' | 'packet' | 'to' | 'boot'>): Reply {
  const asked = request.options.maxMessageSize ?? SIZE_MIN
  const sizeMax = Math.min(Math.max(asked, SIZE_MIN), SIZE_MAX) - IP_AND_UDP
  let { packet } = reply
  for (const name of dispensable) {
    if (sizeOfPacket(packet) <= sizeMax) break
    const { [name]: _, ...options } = packet.options
    packet = { ...packet, options }
  }
  return { ...reply, kind: 'reply', packet, lease: null, hold: null, reason: null }
}
