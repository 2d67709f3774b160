// Many datagrams with one call: recvmmsg(2) and sendmmsg(2). What the kernel reads is laid out once; only lengths and
// addresses change afterwards. Leaves out who opened the socket, and who waits on it.
//
//   struct mmsghdr (64 bytes)   0 name  8 namelen  16 iov  24 iovlen  32 control  40 controllen  48 flags  56 len
//   struct iovec (16)           0 base  8 len
//   struct sockaddr_in (16)     0 family  2 port  4 address

import { openLibc, pointerTo } from './libc.ts'

export interface Datagram {
  readonly bytes: Buffer
  readonly address: string
  readonly port: number
}

export interface Datagrams {
  /** What waits on the socket, so many at most; none when nothing does. Does not wait. */
  readonly receive: () => Datagram[]
  /** Hands them to the system; returns how many it has taken, from the first on. Does not wait. */
  readonly send: (datagrams: readonly Datagram[]) => number
}

/** So many at a time: what a rack sends while one turn of the event loop lasts. */
export const DATAGRAMS_MAX = 64

const HEADER = 64
const VECTOR = 16
const NAME = 16
const AF_INET = 2
const MSG_DONTWAIT = 0x40

/** For a handle of a UDP socket over IPv4; what is longer than `sizeMax` is cut. Null on a Node without node:ffi. */
export function openDatagrams(handle: number, sizeMax: number): Datagrams | null {
  const libc = openLibc()
  if (libc === null) return null
  const [incoming, outgoing] = [layOut(sizeMax), layOut(sizeMax)]
  return {
    receive() {
      for (let n = 0; n < DATAGRAMS_MAX; n++) incoming.headers.writeUInt32LE(NAME, n * HEADER + 8)
      const count = Number(libc.recvmmsg(handle, incoming.headers, DATAGRAMS_MAX, MSG_DONTWAIT, 0n))
      const found: Datagram[] = []
      for (let n = 0; n < count; n++) {
        const bytes = Buffer.allocUnsafe(incoming.headers.readUInt32LE(n * HEADER + 56))
        incoming.texts.copy(bytes, 0, n * sizeMax) // the next call writes over it
        const name = incoming.names
        const at = n * NAME
        const address = `${name[at + 4]}.${name[at + 5]}.${name[at + 6]}.${name[at + 7]}`
        found.push({ bytes, address, port: name.readUInt16BE(at + 2) })
      }
      return found
    },
    send(datagrams) {
      const count = Math.min(datagrams.length, DATAGRAMS_MAX)
      for (let n = 0; n < count; n++) write(outgoing, n, datagrams[n]!, sizeMax)
      return Math.max(0, Number(libc.sendmmsg(handle, outgoing.headers, count, MSG_DONTWAIT)))
    }
  }
}

interface Layout {
  readonly headers: Buffer
  readonly vectors: Buffer
  readonly names: Buffer
  readonly texts: Buffer
}

function layOut(sizeMax: number): Layout {
  const [headers, vectors, names, texts] = [HEADER, VECTOR, NAME, sizeMax].map(size =>
    Buffer.alloc(size * DATAGRAMS_MAX)
  ) as [Buffer, Buffer, Buffer, Buffer]
  const [vector, name, text] = [vectors, names, texts].map(pointerTo) as [bigint, bigint, bigint]
  for (let n = 0; n < DATAGRAMS_MAX; n++) {
    headers.writeBigUInt64LE(name + BigInt(n * NAME), n * HEADER)
    headers.writeUInt32LE(NAME, n * HEADER + 8)
    headers.writeBigUInt64LE(vector + BigInt(n * VECTOR), n * HEADER + 16)
    headers.writeBigUInt64LE(1n, n * HEADER + 24)
    vectors.writeBigUInt64LE(text + BigInt(n * sizeMax), n * VECTOR)
    vectors.writeBigUInt64LE(BigInt(sizeMax), n * VECTOR + 8)
  }
  return { headers, vectors, names, texts }
}

function write(
  { vectors, names, texts }: Layout,
  n: number,
  { bytes, address, port }: Datagram,
  sizeMax: number
): void {
  const length = bytes.copy(texts, n * sizeMax, 0, sizeMax)
  vectors.writeUInt32LE(length, n * VECTOR + 8)
  names.writeUInt16LE(AF_INET, n * NAME)
  names.writeUInt16BE(port, n * NAME + 2)
  const parts = address.split('.')
  for (let part = 0; part < 4; part++) names[n * NAME + 4 + part] = Number(parts[part])
}
