// The sockets of one interface, and what the system knows of it. Bound to the interface (bound/socket.ts) or passed by
// the service manager they hear and reach that interface alone. Where neither is to be had, there is the way of Node's
// own sockets, good for one interface: one on every address, since only that hears broadcasts, and one on the address
// of the interface, which hears unicast and sends everything: so bound, a limited broadcast leaves by that interface.

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { Fault } from '../core/fault.ts'
import { openTraffic, type Send, type Traffic } from './batch/socket.ts'
import { askInterface, openBound } from './bound/socket.ts'
import type { Interface } from './context.ts'

/** The interface of that name with its first IPv4 address; throws Fault(not_found) that names those there are. */
export function readInterface(name: string): Interface {
  const all = networkInterfaces()
  const scope = findScope(name)
  const found = all[name]?.find(({ family }) => family === 'IPv4')
  if (found !== undefined) {
    return { name, address: found.address, netmask: found.netmask, loopback: found.internal, scope }
  }
  // Without a carrier, as a bridge is before its first machine, Node does not list it; the kernel knows its address.
  const known = askInterface(name)
  if (known?.up === true && known.address !== null && known.netmask !== null) {
    return { name, address: known.address, netmask: known.netmask, loopback: known.loopback, scope }
  }
  const names = Object.keys(all).filter(each => all[each]?.some(({ family }) => family === 'IPv4'))
  const others = `or name another (${names.join(', ')}) under interfaces`
  if (scope === null) throw new Fault('not_found', `no interface ${name}: ${others}`)
  if (known === null ? all[name] === undefined : !known.up) {
    const carrier = known === null ? ' or has no carrier (a bridge with no machine on it)' : ''
    throw new Fault('not_found', `interface ${name} is down${carrier}: ip link set ${name} up, ${others}`)
  }
  throw new Fault('not_found', `interface ${name} has no IPv4 address: give it one, ${others}`)
}

/** The kernel's number of the interface; null on a system that does not tell. An address may not tell it yet either. */
function findScope(name: string): number | null {
  const path = `/sys/class/net/${name}/ifindex`
  return existsSync(path) ? Number(readFileSync(path, 'utf8')) : null
}

export interface Listener {
  readonly receive: (bytes: Buffer, peer: RemoteInfo, send: Send, from: From) => void
  readonly failed: (error: Error) => void
}

/**
 * How a packet came: on this interface, known to be a broadcast (so its sender is on this very network) or not; or
 * `elsewhere`: sent to our address by way of another interface, as distant relays and their clients may.
 */
export type From = 'broadcast' | 'here' | 'elsewhere'

export interface ServerSockets {
  readonly port: number
  readonly close: () => Promise<void>
}

/** How sockets are opened: bound to the interface, by Node alone, or not at all, since they are open (a handle). */
export type Way = 'bound' | 'plain' | number

/** Where a broadcast goes: the subnet's own is not taken by OVMF (seen), and the loopback has no limited one. */
export function broadcastAddress({ loopback }: Interface): string {
  return loopback ? '127.255.255.255' : '255.255.255.255'
}

/**
 * The port, any if 0 is wanted; throws a Fault when it is another's. With SO_REUSEADDR two servers would share a port
 * without a word; a socket without it finds the other one. It finds our own too: so first this for every interface.
 */
export async function findFree(own: Interface, wanted: number, way: Way): Promise<number> {
  if (typeof way === 'number') return wanted
  const { socket } = await open(own, { port: wanted, address: '0.0.0.0', sharing: 'alone' }, way)
  const { port } = socket.address()
  await new Promise<void>(resolve => socket.close(resolve))
  return port
}

/** Opens the server's port on this interface, which findFree() gave. Throws a Fault that says what to do otherwise. */
export async function openServerSockets(
  own: Interface,
  port: number,
  way: Way,
  listener: Listener
): Promise<ServerSockets> {
  if (typeof way === 'number') return openUnicastSocket(own, port, way, listener)
  const everywhere = await open(own, { port, address: '0.0.0.0', sharing: 'shared' }, way)
  const sender = await open(own, { port, address: own.address, sharing: 'shared' }, way)
  // Both are good for what is sent to our address: the system gives that to the better match.
  const traffic = [listen(everywhere, listener, 'broadcast'), listen(sender, listener, 'here')]
  if (way === 'plain') return { port, close: () => closeAll(traffic) }
  // It hears only what the two did not.
  const routed = await open(own, { port, address: own.address, sharing: 'shared' }, 'plain')
  traffic.push(listen(routed, listener, 'elsewhere'))
  return { port, close: () => closeAll(traffic) }
}

/** Opens a port that is spoken to by unicast alone: the boot service on 4011. */
export async function openUnicastSocket(
  own: Interface,
  port: number,
  way: Way,
  listener: Listener
): Promise<ServerSockets> {
  const opened =
    typeof way === 'number'
      ? adopt(way, own.name)
      : await open(own, { port, address: own.address, sharing: 'alone' }, way)
  const { close } = listen(opened, listener, 'here')
  return { port: opened.socket.address().port, close }
}

/** Opens the clients' port beside whoever has it, to hear what servers say and to ask as a client would. */
export async function openClientSocket(
  own: Interface,
  port: number,
  way: 'bound' | 'plain',
  listener: Listener
): Promise<ServerSockets & { readonly send: Send }> {
  const opened = await open(own, { port, address: '0.0.0.0', sharing: 'shared' }, way)
  return { port, ...listen(opened, listener, 'broadcast') }
}

function listen({ socket, handle }: Opened, { receive, failed }: Listener, from: From): Traffic {
  const traffic = openTraffic(socket, handle, (bytes, peer) => receive(bytes, peer, traffic.send, from))
  socket.on('error', failed)
  return traffic
}

interface Opened {
  readonly socket: Socket
  /** Null when Node keeps it to itself. */
  readonly handle: number | null
}

/** A rack that powers on at once is heard while a commit waits for the disk; the system may give less. */
const RECEIVE_BYTES = 4 * 1024 * 1024

interface Where {
  readonly port: number
  readonly address: string
  readonly sharing: 'shared' | 'alone'
}

async function open(own: Interface, { port, address, sharing }: Where, way: 'bound' | 'plain'): Promise<Opened> {
  if (way === 'bound') {
    const handle = openBound({ device: own.name, address, port }, sharing)
    if (handle !== null) return adopt(handle, own.name)
    // Why is not told there; Node's own socket is, in the same place.
  }
  const socket = createSocket({ type: 'udp4', reuseAddr: sharing === 'shared' })
  try {
    socket.bind({ port, address, exclusive: true })
    await once(socket, 'listening')
    if (way === 'bound') throw Object.assign(new Error('the socket cannot be bound'), { code: 'EADDRINUSE' })
  } catch (cause) {
    socket.close()
    throw explain(cause, own, port)
  }
  socket.setBroadcast(true)
  socket.setRecvBufferSize(RECEIVE_BYTES)
  return { socket, handle: null }
}

/** Takes over a socket that is open. Throws a Fault when the handle is none. */
function adopt(fd: number, name: string): Opened {
  const socket = createSocket('udp4')
  try {
    socket.bind({ fd, exclusive: true }) // which listens at once
    socket.setBroadcast(true)
    socket.setRecvBufferSize(RECEIVE_BYTES)
    return { socket, handle: fd }
  } catch (cause) {
    socket.close()
    const remedy = 'pass one that ListenDatagram= opened'
    throw new Fault('invalid', `handle ${fd} for ${name} is no UDP socket over IPv4: ${remedy}`, { cause })
  }
}

function explain(cause: unknown, { name, address }: Interface, port: number): unknown {
  const where = `UDP port ${port} for DHCP on ${name} (${address})`
  const code = cause instanceof Error && 'code' in cause ? cause.code : null
  if (code === 'EADDRINUSE') {
    const remedy = `stop the other DHCP server (ss -lunp sport = :${port} names it), or set dhcp.mode: off`
    return new Fault('conflict', `${where} is taken: ${remedy}`, { cause })
  }
  if (code === 'EACCES' || code === 'EPERM') {
    const remedy = 'start as root or with CAP_NET_BIND_SERVICE, or set dhcp.ports'
    return new Fault('forbidden', `${where} may not be opened: ${remedy}`, { cause })
  }
  if (code === 'EADDRNOTAVAIL') {
    return new Fault('unavailable', `${where} cannot be opened: the interface has lost that address`, { cause })
  }
  return cause
}

async function closeAll(all: readonly Traffic[]): Promise<void> {
  await Promise.all(all.map(each => each.close()))
}
