// Hears what DHCP servers say to clients on one interface, and asks them every few minutes as a new client would. The
// clients' port may be the host's own DHCP client's as well: both share it, or we say that we cannot look. What comes
// of it is lookout/server.ts.

import { randomInt } from 'node:crypto'
import type { RemoteInfo } from 'node:dgram'
import { Fault } from '../../../core/fault.ts'
import { contains, networkOf } from '../../../core/ipv4.ts'
import { whyNotBound } from '../../bound/socket.ts'
import type { Interface } from '../../context.ts'
import { encodePacket, messageType, type Packet, tryDecode } from '../../codec/packet.ts'
import { broadcastAddress, openClientSocket } from '../../socket.ts'
import { findNeighbour } from '../facts.ts'
import { PROBE_MAC, probeMessage } from '../message.ts'

export interface ProbeOptions {
  readonly interface: Interface
  readonly ports: { readonly server: number; readonly client: number }
  readonly everyMs: number
  /** Our own addresses on every interface. */
  readonly addresses: ReadonlySet<string>
}

export interface ProbeDeps {
  /** An OFFER or ACK of another server, and its hardware address if that is known. */
  readonly heard: (packet: Packet, from: string, mac: string | null) => void
  /** Each round: null once every server has had its time to answer, else why nobody can be asked. */
  readonly asked: (why: string | null) => void
}

export interface Prober {
  /** Whether this is what we sent ourselves, by whatever way it came back. */
  readonly isOwn: (packet: Packet) => boolean
  /** The port is open, or is known not to be: from here on no right to low ports is needed. */
  readonly opened: Promise<void>
  readonly close: () => Promise<void>
}

/** dnsmasq and others look for a second whether an address is in use before they offer it. */
const ANSWER_MS = 4000
/** Of what is said to clients so much is read each second: no network says more for long. */
const READ_MAX = 200
const NEIGHBOUR_MS = 300
const NEIGHBOURS_MAX = 8
const DISCARD_PORT = 9

export function startProber(options: ProbeOptions, { heard, asked }: ProbeDeps): Prober {
  const { interface: own, ports, everyMs, addresses } = options
  const way = whyNotBound(own.name) === null ? 'bound' : 'plain'
  const transactions: number[] = []
  const isOwn = ({ mac, transaction }: Packet): boolean => mac === PROBE_MAC && transactions.includes(transaction)
  const timers = new Set<NodeJS.Timeout>()
  const later = (ms: number, work: () => void): void => {
    const timer = setTimeout(() => {
      timers.delete(timer)
      work()
    }, ms)
    timers.add(timer)
  }
  let socket: Awaited<ReturnType<typeof openClientSocket>> | null = null
  let closed = false
  let read = 0
  const looking = new Set<string>()

  function receive(bytes: Buffer, { address: from }: RemoteInfo): void {
    if (closed || addresses.has(from) || read >= READ_MAX) return
    if (read === 0) later(1000, () => void (read = 0))
    read += 1
    const packet = decodeReply(bytes)
    if (packet === null || (addresses.has(packet.options.serverId ?? '') && !isOwn(packet))) return
    const mac = findNeighbour(from, own.name)
    if (mac !== null || !findLater(packet, from)) heard(packet, from, mac)
  }

  /** An empty datagram to where nobody listens makes the system ask for the hardware address; false: not now. */
  function findLater(packet: Packet, from: string): boolean {
    const near = contains(networkOf(own.address, own.netmask), from)
    if (!near || socket === null || looking.has(from) || looking.size >= NEIGHBOURS_MAX) return false
    looking.add(from)
    socket.send(Buffer.alloc(0), DISCARD_PORT, from).catch(() => looking.delete(from)) // then it stays unknown
    later(NEIGHBOUR_MS, () => {
      looking.delete(from)
      heard(packet, from, findNeighbour(from, own.name))
    })
    return true
  }

  async function ask(): Promise<void> {
    try {
      socket ??= await openClientSocket(own, ports.client, way, { receive, failed: error => asked(error.message) })
      const transaction = randomInt(2 ** 32)
      transactions.push(transaction)
      if (transactions.length > 4) transactions.shift()
      await socket.send(encodePacket(probeMessage(transaction)), ports.server, broadcastAddress(own))
      if (!closed) later(ANSWER_MS, () => asked(null))
    } catch (error) {
      if (!closed) asked(whyNot(error, ports.client))
    }
  }

  const opened = ask()
  let asking = opened
  const regular = setInterval(() => void (asking = ask()), everyMs)
  return {
    isOwn,
    opened,
    async close() {
      closed = true
      clearInterval(regular)
      for (const timer of timers) clearTimeout(timer)
      await asking
      await socket?.close()
    }
  }
}

function whyNot(error: unknown, port: number): string {
  const code = error instanceof Fault ? error.code : null
  if (code === 'conflict') return `port ${port} is taken by a program that does not share it (ss -lunp names it)`
  if (code === 'forbidden') return `port ${port} may not be opened without CAP_NET_BIND_SERVICE`
  return error instanceof Error ? error.message : String(error)
}

function decodeReply(bytes: Buffer): Packet | null {
  const packet = tryDecode(bytes)
  const type = packet?.options.messageType
  return packet?.op === 'reply' && (type === messageType.offer || type === messageType.ack) ? packet : null
}
