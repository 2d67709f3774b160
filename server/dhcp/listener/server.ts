// The DHCP server on one interface: sockets in, decisions out. A lease is taken up in the index when it is decided, and
// committed to the store before its ACK leaves; when that fails nothing is sent, and the client asks again. Any bytes
// are survived: what is no message is counted and dropped.

import type { RemoteInfo } from 'node:dgram'
import type { NewEvent } from '../../contract/event.ts'
import { hold, meetAsker, record } from '../../core/allocation.ts'
import { contains, networkOf } from '../../core/ipv4.ts'
import { findRivals } from '../../core/reservations.ts'
import { silent, startAdvertiser } from '../advertise/server.ts'
import type { Alarm } from '../timeline/alarms.ts'
import type { Chains } from '../firmware/chains.ts'
import type { Send } from '../batch/socket.ts'
import { type Context, findSubnet, type Interface, type Subnet } from '../context.ts'
import type { Lookout } from '../rivals/lookout/server.ts'
import { decide, type Decision } from '../engine.ts'
import { findFirmware } from '../firmware/firmware.ts'
import { encodePacket, messageName, messageType, NO_ADDRESS, type Packet, tryDecode } from '../codec/packet.ts'
import { type Origin, originOf } from '../codec/relay.ts'
import type { Reply } from '../reply.ts'
import type { Attachment, DhcpDeps, DhcpOptions } from '../deps.ts'
import { shownBy } from '../shown.ts'
import { broadcastAddress, type Listener, openServerSockets, openUnicastSocket, type Way } from '../socket.ts'
import { tell } from '../timeline/story.ts'

export interface ListenerOptions extends Pick<DhcpOptions, 'mode' | 'ports' | 'advertise'> {
  readonly interface: Interface
  readonly places: Attachment['places']
  /** Of all listeners, as the subnets are. */
  readonly chains: Chains
  /** Of all listeners: an address is given out once, whoever asks where. */
  readonly subnets: readonly Subnet[]
  readonly ways: { readonly server: Way; readonly proxy: Way }
  /** Whether the interface still has the address that we answer by. */
  readonly isOurs: () => boolean
}

export interface ListenerDeps extends Omit<DhcpDeps, 'leases'> {
  readonly leases: Pick<DhcpDeps['leases'], 'save'>
  readonly lookout: Pick<Lookout, 'notes' | 'asked'>
}

export interface DhcpListener {
  readonly ports: { readonly server: number; readonly proxy: number }
  /** What the sockets do with each datagram; for tests, which have more of them than a socket takes. */
  readonly receive: (heard: Heard, send: Send) => void
  /** Resolves when all that was received is answered or not. */
  readonly idle: () => Promise<void>
  readonly close: () => Promise<void>
}

export interface Heard {
  readonly bytes: Buffer
  readonly door: Context['door']
  readonly peer: RemoteInfo
  readonly from: Parameters<Listener['receive']>[3]
}

/** Answers that wait for the store at once; beyond that clients ask again, as they do for a lost packet. */
const WAITING_MAX = 4096

export interface Tellers {
  /** Takes what the timeline should know. */
  readonly told: (event: NewEvent) => void
  readonly alarm: (alarm: Alarm, reason: string) => void
  readonly sighted: (mac: string, origin: Origin) => Promise<void>
}

/** Throws a Fault when a port is taken or forbidden. */
export async function startListener(
  options: ListenerOptions,
  deps: ListenerDeps,
  { told, alarm, sighted }: Tellers
): Promise<DhcpListener> {
  const { interface: own, mode, places, subnets, ways, chains, isOurs } = options
  const working = new Set<Promise<void>>()
  const ports = { server: options.ports.server, client: options.ports.client }

  let closing: Promise<void> | null = null
  function receive(heard: Heard, send: Send): void {
    if (closing !== null) return
    if (working.size >= WAITING_MAX) return deps.count('any', 'busy')
    const work: Promise<void> = answer(heard, send)
      .catch((error: unknown) => {
        deps.count('any', 'failed')
        deps.log.error('dhcp.bug', { bytes: heard.bytes.toString('hex'), error })
      })
      .finally(() => working.delete(work))
    working.add(work)
  }

  /** Up to the first wait this runs at once, so that the next packet finds the index changed. */
  async function answer({ bytes, door, peer, from }: Heard, send: Send): Promise<void> {
    if (!isOurs()) return deps.count('any', 'address lost')
    const request = tryDecode(bytes)
    if (request === null) return deps.count('malformed', 'ignored')
    const routed = from === 'broadcast' ? null : routedClient(request, peer)
    if (from === 'elsewhere' && !isDistant(request, routed, own)) return deps.count('any', 'elsewhere')
    if (door === 'server' && deps.lookout.notes(request, own)) return deps.count('any', 'probe')
    const subnet = findSubnet(subnets, own, originOf(request), routed)
    const now = deps.now()
    const { mac, transaction } = request
    const boot = {
      ...places,
      loader: deps.loaderOf(mac, () => shownBy(request)),
      chain: chains.find(mac, transaction, now)
    }
    const context: Context = { mode, door, server: own.address, peer, subnet, ports, boot, now }
    if (subnet !== null && asksForAddress(request)) meetAsker(subnet.index, request.mac, context.now)
    const decision = decide(request, context)
    takeUp(request, decision, context)
    const hushed = subnet !== null && asksForAddress(request) && deps.lookout.asked(request, decision, subnet)
    const firmware = findFirmware(request)
    const given = decision.kind === 'reply' ? decision.boot : null
    if (firmware !== null && given !== null) chains.note(mac, transaction, firmware, given, now)
    if (firmware?.kind.endsWith('ipxe') === true) advertiser.wake()
    const type = messageName(request) ?? 'other'
    const failure = await carryOut(request, decision, send)
    deps.count(type, failure === null ? resultOf(decision) : 'failed')
    if (failure !== null) return deps.log.error('dhcp.failed', { type, mac: request.mac, error: failure.error })
    deps.log.debug('dhcp.packet', { type, mac: request.mac, result: resultOf(decision), reason: decision.reason })
    for (const event of hushed ? [] : tell(request, decision, own.address)) told(event)
    if (decision.kind === 'silence' && decision.alarm !== null) alarm(decision.alarm, decision.reason)
    if (subnet !== null && subnet.index.reserved.byKey.size > 0) warnOfRivals(request, subnet)
  }

  /** Null when done. A store or a network that fails is survived: nothing was promised, and the client asks again. */
  async function carryOut(request: Packet, decision: Decision, send: Send): Promise<{ error: unknown } | null> {
    try {
      // Before the machine can say who it is by HTTP, so that it is found where it is plugged in.
      const met = decision.kind === 'reply' && (decision.type === 'ack' || mode === 'proxy')
      const placed = met && request.relay !== NO_ADDRESS ? sighted(request.mac, originOf(request)) : null
      const saved = decision.lease === null ? null : deps.leases.save(decision.lease)
      if (saved !== null || placed !== null) await Promise.all([saved, placed])
      if (decision.kind === 'reply') await sendReply(decision, send)
      return null
    } catch (error) {
      return { error }
    }
  }

  function warnOfRivals(request: Packet, { index }: Subnet): void {
    const rivals = findRivals(index, request.mac, shownBy(request))
    if (rivals === null) return
    const [one, other] = rivals
    const why = `Machine/${one.machine} (${one.key}) and Machine/${other.machine} (${other.key}) are both about it`
    alarm({ kind: 'two-documents', about: request.mac }, `${why}; the first holds`)
  }

  async function sendReply({ packet, to }: Reply, send: Send): Promise<void> {
    const bytes = encodePacket(packet)
    if (to.kind === 'unicast') await send(bytes, to.port, to.address)
    else await send(bytes, ports.client, broadcastAddress(own))
  }

  const listener = (door: Context['door']): Listener => ({
    receive: (bytes, peer, send, from) => receive({ bytes, door, peer, from }, send),
    failed: error => deps.log.error('dhcp.socket-failed', { interface: own.name, error })
  })
  const advertiser = options.advertise ? startAdvertiser(own, deps) : silent
  await using opened = new AsyncDisposableStack()
  opened.defer(() => advertiser.close())
  const server = await openServerSockets(own, options.ports.server, ways.server, listener('server'))
  opened.defer(() => server.close())
  ports.server = server.port
  const proxy = await openUnicastSocket(own, options.ports.proxy, ways.proxy, listener('proxy'))
  opened.defer(() => proxy.close())
  deps.log.info('dhcp.listening', { interface: own.name, mode, port: server.port, proxy: proxy.port })

  const parts = opened.move()
  async function close(): Promise<void> {
    await Promise.all(working)
    await parts.disposeAsync()
  }
  return {
    ports: { server: server.port, proxy: proxy.port },
    receive,
    idle: async () => void (await Promise.all(working)),
    close: () => (closing ??= close())
  }
}

/** The address of a client that renews or ends its lease by unicast (RFC 2131 §4.4.4), maybe through routers. */
function routedClient({ relay, clientAddress }: Packet, peer: RemoteInfo): string | null {
  return relay === NO_ADDRESS && clientAddress !== NO_ADDRESS && clientAddress === peer.address ? clientAddress : null
}

/** Whether it comes from beyond this network; what is on it would have been heard on its interface. */
function isDistant({ relay }: Packet, routed: string | null, { address, netmask }: Interface): boolean {
  const from = relay === NO_ADDRESS ? routed : relay
  return from !== null && !contains(networkOf(address, netmask), from)
}

function resultOf(decision: Decision): string {
  if (decision.kind === 'reply') return decision.type
  return decision.alarm?.kind ?? 'ignored'
}

function asksForAddress({ op, options: { messageType: type } }: Packet): boolean {
  return op === 'request' && (type === messageType.discover || type === messageType.request)
}

function takeUp(request: Packet, decision: Decision, { subnet }: Context): void {
  if (subnet === null) return
  if (decision.lease !== null) record(subnet.index, decision.lease)
  if (decision.kind === 'reply' && decision.hold !== null) {
    hold(subnet.index, request.mac, decision.hold.address, decision.hold.until)
  }
}
