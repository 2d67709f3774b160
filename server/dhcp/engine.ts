// What a DHCP message is answered: (request, context) -> reply | silence, each with its reason. Authoritative per RFC
// 2131 §4.3; proxy per PXE 2.1 §2.2 (boot file only, no address). Changes nothing: what the caller must take up in the
// lease index, and commit to the store before the reply leaves, is part of the decision. Packets are made in reply.ts.
//
//   authoritative  DISCOVER ─► OFFER (held for a minute) · REQUEST ─► ACK (lease) | NAK · INFORM ─► ACK (no lease)
//                  DECLINE ─► the address rests · RELEASE ─► the lease ends, its address stays the machine's choice
//   proxy          DISCOVER on 67 ─► OFFER · REQUEST or INFORM on 4011 ─► ACK · other servers' business ─► silence

import {
  addressOf,
  findAddress,
  heldUntil,
  holderBeside,
  isKeptBack,
  isPressing,
  type Lease,
  mayHold
} from '../core/allocation.ts'
import { contains } from '../core/ipv4.ts'
import { identifierFor, reservedFor } from '../core/reservations.ts'
import type { Alarm } from './timeline/alarms.ts'
import type { Context, Subnet } from './context.ts'
import { bootFileFor, type Firmware, findFirmware } from './firmware/firmware.ts'
import { NO_ADDRESS, messageName, type Packet } from './codec/packet.ts'
import { originOf } from './codec/relay.ts'
import { ack, nak, offer, proxyReply, type Reply } from './reply.ts'
import { shownBy } from './shown.ts'

export interface Silence {
  readonly kind: 'silence'
  readonly reason: string
  /** Whether somebody should look: it goes to the timeline of a boot client. */
  readonly warn: boolean
  readonly lease: Lease | null
  /** What the operator should hear of, apart from this machine. */
  readonly alarm: Alarm | null
}

export type Decision = Reply | Silence

/** An address rests this long after a DECLINE: a stranger uses it, or a broken client lies. */
const REST_MS = 10 * 60_000
/** Time for a loader to fetch a kernel before it renews; what a flood has taken is free again as soon. */
const STRANGER_LEASE_SECONDS = 300
/** Firmware waits four seconds for other offers (seen), then asks. */
const STRANGER_OFFER_MS = 10_000

export function decide(request: Packet, context: Context): Decision {
  if (request.op !== 'request') return silence('it is a reply of another server')
  const type = messageName(request)
  if (type === null) return silence('it has no DHCP message type')
  if (type === 'offer' || type === 'ack' || type === 'nak') return silence(`a client does not send ${type}`)
  const firmware = findFirmware(request)
  if (context.mode === 'proxy' || context.door === 'proxy') return decideProxy(request, type, firmware, context)
  if (context.subnet === null) {
    const place = placeOf(request, context)
    return { ...silence(`no subnet is configured for ${place}`, true), alarm: { kind: 'no-subnet', about: place } }
  }
  const subnet = termsFor(request.mac, context.subnet, context.now)
  switch (type) {
    case 'discover':
      return discover(request, firmware, subnet, context)
    case 'request':
      return requested(request, firmware, subnet, context)
    case 'inform':
      // The answer goes to an address that the client names: one of ours, or anybody's traffic could be aimed there.
      return usable(subnet, request.clientAddress)
        ? ack(request, firmware, subnet, context, null)
        : silence(`${request.clientAddress} is not in the subnet`)
    case 'decline':
      return declined(request, subnet, context)
    case 'release':
      return released(request, subnet, context)
  }
}

function decideProxy(
  request: Packet,
  type: 'discover' | 'request' | 'inform' | 'decline' | 'release',
  firmware: Firmware | null,
  context: Context
): Decision {
  if (firmware === null) return silence('it is no boot client')
  const boot = bootFileFor(firmware, context.boot)
  // An offer without a boot file would only keep it from the others.
  if (boot.by === 'none') return silence(boot.reason, true)
  if (context.door === 'server') {
    return type === 'discover' ? proxyReply(request, 'offer', firmware, context) : silence('another server leases')
  }
  return type === 'request' || type === 'inform'
    ? proxyReply(request, 'ack', firmware, context)
    : silence(`the boot service is not sent ${type}`)
}

/** One of many strangers keeps what it gets for a short time, until it is known or there are fewer. */
function termsFor(mac: string, subnet: Subnet, now: Date): Subnet {
  if (!isPressing(subnet.index, mac, now)) return subnet
  return {
    ...subnet,
    leaseSeconds: Math.min(subnet.leaseSeconds, STRANGER_LEASE_SECONDS),
    offerMs: Math.min(subnet.offerMs, STRANGER_OFFER_MS)
  }
}

function discover(request: Packet, firmware: Firmware | null, subnet: Subnet, context: Context): Decision {
  const wish = request.options.requestedAddress ?? null
  const address = findAddress(subnet.index, request.mac, wish, context.now, shownTo(subnet, request))
  return address === null ? unserved(request, subnet, context.now) : offer(request, firmware, subnet, context, address)
}

/** Nothing, as long as no document asks for it: most packets are not looked at that closely. */
function shownTo({ index: { reserved } }: Subnet, request: Packet): readonly string[] {
  return reserved.byKey.size === 0 ? [] : shownBy(request)
}

function unserved(request: Packet, place: Subnet, now: Date): Silence {
  const { mac } = request
  const { index, pool, subnet } = place
  const kept = reservedFor(index, mac, shownTo(place, request))
  const holder = kept === null ? null : holderBeside(index, mac, kept, now)
  if (holder === null) {
    const reason = isKeptBack(index, mac, null, now)
      ? `what is left of the pool ${pool.first}-${pool.last} is kept for known machines`
      : `the pool ${pool.first}-${pool.last} is exhausted`
    return { ...silence(reason, true), alarm: { kind: 'exhausted', about: subnet } }
  }
  const until = new Date(holder.until).toISOString()
  return silence(
    holder.mac === null
      ? `${kept}, which is kept for it, was declined and rests until ${until}`
      : `${kept}, which is kept for it, is leased to ${holder.mac} until ${until}`,
    true
  )
}

/** REQUEST in the four states of RFC 2131 §4.3.2. */
function requested(request: Packet, firmware: Firmware | null, subnet: Subnet, context: Context): Decision {
  const { serverId, requestedAddress } = request.options
  const using = request.clientAddress
  const { index } = subnet
  const grant = (address: string): Decision =>
    mayHold(index, request.mac, address, context.now, shownTo(subnet, request))
      ? ack(request, firmware, subnet, context, bind(request, address, subnet, context.now))
      : nak(request, context, `${address} is not yours to use`)

  if (serverId !== undefined) {
    if (!isOurs(serverId, request, context)) return silence(`another DHCP server (${serverId}) was chosen`, true)
    // Some clients fill ciaddr when they should not: the requested address is what was offered.
    if (requestedAddress === undefined) return nak(request, context, 'the request names no address')
    return grant(requestedAddress) // selecting
  }
  if (using !== NO_ADDRESS) {
    // Renewing or rebinding.
    return usable(subnet, using) ? grant(using) : nak(request, context, `${using} is not in this network`)
  }
  if (requestedAddress === undefined) return nak(request, context, 'the request names no address')
  // INIT-REBOOT: a machine that moved here is told at once; one we know nothing of may belong to another server.
  if (!usable(subnet, requestedAddress)) return nak(request, context, `${requestedAddress} is not in this network`)
  const own = addressOf(index, request.mac)
  return own === null ? silence('no lease of this machine is known') : grant(requestedAddress)
}

function declined(request: Packet, subnet: Subnet, context: Context): Silence {
  const { serverId, requestedAddress: address } = request.options
  const { now } = context
  if (serverId !== undefined && !isOurs(serverId, request, context)) return silence('it is said to another server')
  if (address === undefined || addressOf(subnet.index, request.mac) !== address) {
    return silence('it declines an address that it does not have')
  }
  const lease: Lease = {
    address,
    mac: request.mac,
    hostname: null,
    grantedAt: now,
    expiresAt: new Date(now.getTime() + REST_MS),
    state: 'declined'
  }
  return { ...silence(`${address} is declined: somebody else uses it`, true), lease }
}

function released(request: Packet, subnet: Subnet, { now }: Context): Silence {
  const address = request.clientAddress
  if (addressOf(subnet.index, request.mac) !== address) return silence('it releases an address that it does not have')
  const lease = bind(request, address, subnet, now)
  return { ...silence(`${address} is released`), lease: { ...lease, expiresAt: now } }
}

function bind(request: Packet, address: string, subnet: Subnet, now: Date): Lease {
  const { index, leaseSeconds } = subnet
  const identifier = identifierFor(index, request.mac, address, shownTo(subnet, request))
  // What was promised before holds: when this answer is lost, the client goes by that.
  const expiresAt = new Date(Math.max(now.getTime() + leaseSeconds * 1000, heldUntil(index, request.mac, address)))
  const name = request.options.hostname?.toLowerCase() ?? ''
  // A client's name is hostile text: kept when it is a host name, else not at all.
  const hostname = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name) ? name : null
  const known = identifier === undefined ? {} : { identifier }
  return { address, mac: request.mac, hostname, grantedAt: now, expiresAt, state: 'bound', ...known }
}

function usable({ network }: Subnet, address: string): boolean {
  return address !== NO_ADDRESS && contains(network, address)
}

/** By our own address, or by the one that the relay lends us. */
function isOurs(serverId: string, request: Packet, context: Context): boolean {
  return serverId === context.server || serverId === originOf(request).serverId
}

function placeOf(request: Packet, { server }: Context): string {
  const { relay, link } = originOf(request)
  if (relay === null) return `the network of ${server}`
  return link === null ? `relay ${relay}` : `link ${link} of relay ${relay}`
}

function silence(reason: string, warn = false): Silence {
  return { kind: 'silence', reason, warn, lease: null, alarm: null }
}
