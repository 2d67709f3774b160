// The sockets of one interface, and what the system knows of it. Node offers neither SO_BINDTODEVICE nor IP_PKTINFO, so
// there are two on the server's port: one on every address, since only that hears broadcasts, and one on the address
// of the interface, which hears unicast and sends everything: so bound, a limited broadcast leaves by that interface.

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { Fault } from '../core/fault.ts'
import type { Interface } from './context.ts'

/** The interface of that name with its first IPv4 address; throws Fault(not_found) that names those there are. */
export function readInterface(name: string): Interface {
  const all = networkInterfaces()
  const found = all[name]?.find(({ family }) => family === 'IPv4')
  if (found === undefined) {
    const names = Object.keys(all).filter(each => all[each]?.some(({ family }) => family === 'IPv4'))
    const what = all[name] === undefined ? `no interface ${name} that is up` : `interface ${name} has no IPv4 address`
    throw new Fault('not_found', `${what}: give it one, or name another (${names.join(', ')}) under interfaces`)
  }
  return { name, address: found.address, netmask: found.netmask, loopback: found.internal, scope: findScope(name) }
}

/** The kernel's number of the interface; null on a system that does not tell. An address may not tell it yet either. */
function findScope(name: string): number | null {
  const path = `/sys/class/net/${name}/ifindex`
  return existsSync(path) ? Number(readFileSync(path, 'utf8')) : null
}

export type Send = (bytes: Buffer, port: number, address: string) => Promise<void>

export interface Listener {
  readonly receive: (bytes: Buffer, peer: RemoteInfo, send: Send) => void
  readonly failed: (error: Error) => void
}

export interface ServerSockets {
  readonly port: number
  readonly close: () => Promise<void>
}

/** Where a broadcast goes: the subnet's own is not taken by OVMF (seen), and the loopback has no limited one. */
export function broadcastAddress({ loopback }: Interface): string {
  return loopback ? '127.255.255.255' : '255.255.255.255'
}

/** Opens the server's port on this interface. Throws a Fault that says what to do when that cannot be. */
export async function openServerSockets(own: Interface, wanted: number, listener: Listener): Promise<ServerSockets> {
  const port = await findFree(own, wanted)
  const everywhere = await open(own, port, '0.0.0.0', 'shared')
  const sender = await open(own, port, own.address, 'shared')
  for (const socket of [everywhere, sender]) listen(socket, listener, sendBy(sender))
  return { port, close: () => closeAll([everywhere, sender]) }
}

/** Opens a port that is spoken to by unicast alone: the boot service on 4011. */
export async function openUnicastSocket(own: Interface, port: number, listener: Listener): Promise<ServerSockets> {
  const socket = await open(own, port, own.address, 'alone')
  listen(socket, listener, sendBy(socket))
  return { port: socket.address().port, close: () => closeAll([socket]) }
}

function listen(socket: Socket, { receive, failed }: Listener, send: Send): void {
  socket.on('message', (bytes, peer) => receive(bytes, peer, send))
  socket.on('error', failed)
}

/** With SO_REUSEADDR two servers would share a port without a word; a socket without it finds the other one. */
async function findFree(own: Interface, wanted: number): Promise<number> {
  const socket = await open(own, wanted, '0.0.0.0', 'alone')
  const { port } = socket.address()
  await closeAll([socket])
  return port
}

/** A rack that powers on at once is heard while a commit waits for the disk; the system may give less. */
const RECEIVE_BYTES = 4 * 1024 * 1024

async function open(own: Interface, port: number, address: string, sharing: 'shared' | 'alone'): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', reuseAddr: sharing === 'shared' })
  try {
    socket.bind({ port, address, exclusive: true })
    await once(socket, 'listening')
  } catch (cause) {
    socket.close()
    throw explain(cause, own, port)
  }
  socket.setBroadcast(true)
  socket.setRecvBufferSize(RECEIVE_BYTES)
  return socket
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

function sendBy(socket: Socket): Send {
  return async (bytes, port, address) =>
    await new Promise((resolve, reject) => {
      socket.send(bytes, port, address, error => (error === null ? resolve() : reject(error)))
    })
}

async function closeAll(sockets: readonly Socket[]): Promise<void> {
  await Promise.all(
    sockets.map(async socket => {
      await new Promise<void>(resolve => socket.close(resolve))
    })
  )
}
