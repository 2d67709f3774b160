// UDP sockets without Node's event loop: connected to one peer, read and written by calls that do not wait. Waiting for
// many of them is epoll.ts's.

import { int32, type Libc } from './libc.ts'

export interface Place {
  readonly address: string
  readonly port: number
}

const AF_INET = 2
const SOCK_DGRAM = 2
const SOCK_NONBLOCK = 0x800
const SOCK_CLOEXEC = 0x80000
const SOL_UDP = 17
const UDP_SEGMENT = 103

/** A socket on a free port of that address, connected to the peer; null when the system refuses. */
export function openConnected(libc: Libc, address: string, peer: Place): number | null {
  const handle = Number(libc.socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0))
  if (handle < 0) return null
  const own = socketAddress({ address, port: 0 })
  const theirs = socketAddress(peer)
  if (libc.bind(handle, own, own.length) === 0 && libc.connect(handle, theirs, theirs.length) === 0) return handle
  libc.close(handle)
  return null
}

/** struct sockaddr_in (ip(7)). */
export function socketAddress({ address, port }: Place): Buffer {
  const name = Buffer.alloc(16)
  name.writeUInt16LE(AF_INET, 0)
  name.writeUInt16BE(port, 2)
  name.set(address.split('.').map(Number), 4)
  return name
}

/** Sends one packet; false when the system refuses, be it for lack of room or for an earlier packet's ICMP answer. */
export function sendPacket(libc: Libc, handle: number, bytes: Buffer | bigint, length: number): boolean {
  return libc.write(handle, bytes, length) === length
}

/**
 * From now on the kernel parts what is sent on this socket into packets of that size, the last one may be shorter, as
 * the wire needs it: one call a window (udp(7)). False on a kernel before 4.18.
 */
export function partSends(libc: Libc, handle: number, size: number): boolean {
  return libc.setsockopt(handle, SOL_UDP, UDP_SEGMENT, int32(size), 4) === 0
}

/** The length of the packet that was read into so much room; -1 when there is none. What is longer is cut. */
export function receivePacket(libc: Libc, handle: number, bytes: Buffer | bigint, room: number): number {
  return libc.read(handle, bytes, room) as number
}
