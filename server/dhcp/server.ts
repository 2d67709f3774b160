// The DHCP server of one interface: sockets in, decisions out. A lease is taken up in the index when it is decided, and
// committed to the store before its ACK leaves; when that fails nothing is sent, and the client asks again. Any bytes
// are survived: what is no message is counted and dropped.

import type { RemoteInfo } from 'node:dgram'
import type { NewEvent } from '../contract/event.ts'
import { hold, type Lease, record } from '../core/allocation.ts'
import { Fault } from '../core/fault.ts'
import type { Log } from '../log.ts'
import { startAdvertiser } from './advertise/server.ts'
import { MalformedPacket } from './codec.ts'
import { type Context, findSubnet, type Interface, openSubnets, type SubnetConfig } from './context.ts'
import { decide, type Decision } from './engine.ts'
import { findFirmware } from './firmware.ts'
import { decodePacket, encodePacket, messageName, type Packet } from './packet.ts'
import type { Reply } from './reply.ts'
import { broadcastAddress, openServerSockets, openUnicastSocket, type Send } from './socket.ts'
import { limitEvents, tell } from './story.ts'

export interface LeaseStore {
  readonly list: () => Promise<readonly Lease[]>
  /** Resolves when the lease would survive a power cut. */
  readonly save: (lease: Lease) => Promise<void>
}

export interface DhcpOptions {
  readonly mode: 'authoritative' | 'proxy'
  readonly interface: Interface
  /** 67, 68 and 4011; 0 takes any. */
  readonly ports: { readonly server: number; readonly client: number; readonly proxy: number }
  /** Used in authoritative mode. */
  readonly subnets: readonly SubnetConfig[]
  /** The boot plane as machines reach it: http://10.0.0.1:8080. */
  readonly bootUrl: string
}

export interface DhcpDeps {
  readonly now: () => Date
  readonly log: Log
  /** dhcp_packets_total: a message type (or malformed, event) and what became of it. */
  readonly count: (type: string, result: string) => void
  readonly leases: LeaseStore
  readonly seen: (event: NewEvent) => void
}

export interface DhcpServer {
  readonly ports: { readonly server: number; readonly proxy: number }
  readonly close: () => Promise<void>
}

/** Answers that wait for the store at once; beyond that clients ask again, as they do for a lost packet. */
const WAITING_MAX = 4096
/** Starts on one interface. Throws a Fault when a port is taken or forbidden, or no subnet fits the interface. */
export async function startDhcp(options: DhcpOptions, deps: DhcpDeps): Promise<DhcpServer> {
  const own = options.interface
  const authoritative = options.mode === 'authoritative'
  const subnets = authoritative ? openSubnets(options.subnets, own.address, await deps.leases.list()) : []
  if (authoritative && findSubnet(subnets, own, '0.0.0.0') === null) {
    const remedy = `add one under dhcp.subnets that holds ${own.address}, or set dhcp.mode: proxy`
    throw new Fault('invalid', `no DHCP subnet fits interface ${own.name} (${own.address}/${own.netmask}): ${remedy}`)
  }
  const working = new Set<Promise<void>>()
  const ports = { server: options.ports.server, client: options.ports.client }
  const tellLimited = limitEvents(deps)

  let closing: Promise<void> | null = null
  const receive = (door: Context['door']) => (bytes: Buffer, peer: RemoteInfo, send: Send) => {
    if (closing !== null) return
    if (working.size >= WAITING_MAX) return deps.count('any', 'busy')
    const work: Promise<void> = answer(bytes, door, peer, send)
      .catch((error: unknown) => {
        deps.count('any', 'failed')
        deps.log.error('dhcp.bug', { bytes: bytes.toString('hex'), error })
      })
      .finally(() => working.delete(work))
    working.add(work)
  }

  /** Up to the first wait this runs at once, so that the next packet finds the index changed. */
  async function answer(bytes: Buffer, door: Context['door'], peer: RemoteInfo, send: Send): Promise<void> {
    const request = tryDecode(bytes)
    if (request === null) return deps.count('malformed', 'ignored')
    const { mode, bootUrl } = options
    const subnet = findSubnet(subnets, own, request.relay)
    const context: Context = { mode, door, server: own.address, peer, subnet, ports, bootUrl, now: deps.now() }
    const decision = decide(request, context)
    takeUp(request, decision, context)
    if (findFirmware(request.options)?.kind.endsWith('ipxe') === true) advertiser.wake()
    const type = messageName(request) ?? 'other'
    const failure = await carryOut(decision, send)
    deps.count(type, failure === null ? resultOf(decision) : 'failed')
    if (failure !== null) return deps.log.error('dhcp.failed', { type, mac: request.mac, error: failure.error })
    deps.log.debug('dhcp.packet', { type, mac: request.mac, result: resultOf(decision), reason: decision.reason })
    for (const event of tell(request, decision, own.address)) tellLimited(event)
  }

  /** Null when done. A store or a network that fails is survived: nothing was promised, and the client asks again. */
  async function carryOut(decision: Decision, send: Send): Promise<{ error: unknown } | null> {
    try {
      if (decision.lease !== null) await deps.leases.save(decision.lease)
      if (decision.kind === 'reply') await sendReply(decision, send)
      return null
    } catch (error) {
      return { error }
    }
  }

  async function sendReply({ packet, to }: Reply, send: Send): Promise<void> {
    const bytes = encodePacket(packet)
    if (to.kind === 'unicast') await send(bytes, to.port, to.address)
    else await send(bytes, ports.client, broadcastAddress(own))
  }

  const failed = (error: Error): void => deps.log.error('dhcp.socket-failed', { interface: own.name, error })
  const advertiser = await startAdvertiser(own, deps)
  const server = await openServerSockets(own, options.ports.server, { receive: receive('server'), failed })
  ports.server = server.port
  const proxy = await openUnicastSocket(own, options.ports.proxy, { receive: receive('proxy'), failed }).catch(
    async (error: unknown) => {
      await server.close()
      throw error
    }
  )
  deps.log.info('dhcp.listening', { interface: own.name, mode: options.mode, port: server.port, proxy: proxy.port })

  async function close(): Promise<void> {
    advertiser.close()
    await Promise.all(working)
    await Promise.all([server.close(), proxy.close()])
  }
  return {
    ports: { server: server.port, proxy: proxy.port },
    close: () => (closing ??= close())
  }
}

function tryDecode(bytes: Buffer): Packet | null {
  try {
    return decodePacket(bytes)
  } catch (error) {
    if (error instanceof MalformedPacket) return null
    throw error
  }
}

function resultOf(decision: Decision): string {
  return decision.kind === 'reply' ? decision.type : 'ignored'
}

function takeUp(request: Packet, decision: Decision, { subnet }: Context): void {
  if (subnet === null) return
  if (decision.lease !== null) record(subnet.index, decision.lease)
  if (decision.kind === 'reply' && decision.hold !== null) {
    hold(subnet.index, request.mac, decision.hold.address, decision.hold.until)
  }
}
