// What one connection, and one address, may take of a listener. Fastify and Node bound each request; several at once on
// one connection, or many connections of one host, they leave to us.

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

export interface ConnectionLimits {
  /** A host that has gone astray must not keep all others out. */
  readonly connectionsPerAddressMax: number
}

/** Requests sent before the first is answered: boot clients never do, and each is remembered until its turn comes. */
const UNANSWERED_MAX = 32

/** To be called once, before the listener opens. `malformed` is told of what is no request. */
export function guardConnections(server: Server, limits: ConnectionLimits, malformed: () => void): void {
  const unanswered = new WeakMap<Socket, number>()
  const change = (socket: Socket, by: number): number => {
    const count = (unanswered.get(socket) ?? 0) + by
    unanswered.set(socket, count)
    return count
  }
  // Before fastify's own, which would do the work of a request first.
  server.prependListener('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    response.once('close', () => change(socket, -1))
    if (change(socket, 1) > UNANSWERED_MAX) socket.destroy()
  })
  server.prependListener('clientError', (_error: Error, socket: Socket) => {
    malformed()
    // Fastify's answer (400, 408, 431) would stand in the middle of a body that is being sent, and be taken for it.
    if ((unanswered.get(socket) ?? 0) > 0) socket.destroy()
  })
  countAddresses(server, limits.connectionsPerAddressMax)
}

function countAddresses(server: Server, most: number): void {
  const counts = new Map<string, number>()
  server.prependListener('connection', (socket: Socket) => {
    const { remoteAddress: address } = socket
    if (address === undefined) return // it is gone already
    const count = (counts.get(address) ?? 0) + 1
    counts.set(address, count)
    socket.once('close', () => {
      const left = (counts.get(address) ?? 1) - 1
      if (left === 0) counts.delete(address)
      else counts.set(address, left)
    })
    if (count > most) socket.destroy()
  })
}
