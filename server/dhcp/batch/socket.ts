// A socket whose datagrams go in and out many at a time (native/datagrams.ts), as far as the system and Node allow it:
// one that Node reads wakes us, and what else waits is read with one call; what is answered in one turn of the event
// loop leaves with one call. Without that, or when the system does not take a datagram, Node's own way is taken.

import type { RemoteInfo, Socket } from 'node:dgram'
import { type Datagram, DATAGRAMS_MAX, openDatagrams } from '../../native/datagrams.ts'
import { PACKET_SIZE_MAX } from '../codec/packet.ts'

export type Send = (bytes: Buffer, port: number, address: string) => Promise<void>

export interface Traffic {
  readonly send: Send
  /** What waits to be sent goes; then the socket is closed. */
  readonly close: () => Promise<void>
}

/** So many answers are worth a call: who has one goes on while others are made (measured: 8 and 64 are slower). */
const FLUSH_AT = 16

/** After so many reads the event loop has its turn, whatever else waits. */
const READS_MAX = 8

/** `handle` is the socket's own; null when it is not known, and then each datagram is a call. */
export function openTraffic(
  socket: Socket,
  handle: number | null,
  heard: (bytes: Buffer, peer: RemoteInfo) => void
): Traffic {
  const many = handle === null ? null : openDatagrams(handle, PACKET_SIZE_MAX + 1)
  const plain = plainSend(socket)
  let closing: Promise<void> | null = null
  const close = (): Promise<void> => (closing ??= new Promise(resolve => socket.close(() => resolve())))
  if (many === null) {
    socket.on('message', heard)
    return { send: plain, close }
  }

  socket.on('message', (first, peer) => {
    heard(first, peer)
    for (let reads = 0, more = DATAGRAMS_MAX; reads < READS_MAX && more === DATAGRAMS_MAX; reads++) {
      const found = many.receive()
      more = found.length
      for (const { bytes, address, port } of found) heard(bytes, { address, port, family: 'IPv4', size: bytes.length })
    }
  })
  let waiting: (Datagram & PromiseWithResolvers<void>)[] = []
  function flush(): void {
    const batch = waiting
    waiting = []
    for (let at = 0; at < batch.length;) {
      const taken = closing === null ? many!.send(batch.slice(at, at + DATAGRAMS_MAX)) : 0
      for (const { resolve } of batch.slice(at, at + taken)) resolve()
      at += taken
      const refused = taken === 0 ? batch[at++] : undefined
      if (refused === undefined) continue
      // Node's own says why, or waits until there is room.
      plain(refused.bytes, refused.port, refused.address).then(refused.resolve, refused.reject)
    }
  }
  return {
    send(bytes, port, address) {
      if (bytes.length > PACKET_SIZE_MAX) return plain(bytes, port, address)
      const sent = Promise.withResolvers<void>()
      if (waiting.length === 0) setImmediate(flush)
      waiting.push({ bytes, port, address, ...sent })
      if (waiting.length === FLUSH_AT) flush()
      return sent.promise
    },
    close() {
      if (closing === null) flush()
      return close()
    }
  }
}

function plainSend(socket: Socket): Send {
  return async (bytes, port, address) =>
    new Promise((resolve, reject) => {
      socket.send(bytes, port, address, error => (error === null ? resolve() : reject(error)))
    })
}
