// TFTP's door: one socket listens and decides what a request is given; a carrier moves the packets of each transfer
// from a socket of its own. Requests that open no transfer are answered from the listener and cost no socket; what is
// no request is dropped, so that nothing is reflected.

import { createSocket, type RemoteInfo } from 'node:dgram'
import { once } from 'node:events'
import { Fault } from '../core/fault.ts'
import type { Carried, Carrier } from './carrier.ts'
import { createLimits } from './limits.ts'
import { decode, encode, normaliseName, type Packet } from './packet.ts'
import { createPlaces, type Held } from './places.ts'
import { refusal } from './session.ts'
import { createShare } from './share.ts'

export interface Transfer {
  readonly peer: string
  readonly name: string
  readonly outcome: Carried | 'not found' | 'refused' | 'ignored' | 'busy'
  readonly bytes: number
  readonly durationMs: number
}

export interface TftpDeps {
  /** The bytes of a file that may be served, or null. Called with names such as grub/grub.cfg only, and who asks. */
  readonly read: (name: string, peerAddress: string) => Promise<Buffer | null>
  /** Each request that ended, however it did; ignored: what was no request. */
  readonly done: (transfer: Transfer) => void
  /** A bug, or a system that refuses sockets: the transfer it hit is over, the server goes on. */
  readonly failed: (error: unknown) => void
  readonly now: () => Date
  /** Closed by whoever opened it, after this server. */
  readonly carrier: Carrier
}

export interface TftpServer {
  readonly port: number
  readonly close: () => Promise<void>
}

type Request = Packet & { op: 'rrq' | 'wrq' }

/**
 * Serves on one address; with a handle, on that socket, which is open already. Throws a Fault that says what to do when
 * the port is taken or forbidden.
 */
export async function startTftp(
  address: string,
  port: number,
  deps: TftpDeps,
  handle: number | null = null
): Promise<TftpServer> {
  const socket = createSocket('udp4')
  const places = createPlaces()
  const share = createShare()
  const limits = createLimits(deps.now)
  const working = new Set<Promise<void>>()

  function receive(bytes: Buffer, peer: RemoteInfo): void {
    const request = decode(bytes)
    const none = { peer: peer.address, name: '', bytes: 0, durationMs: 0 }
    if (request === null || (request.op !== 'rrq' && request.op !== 'wrq')) {
      return deps.done({ ...none, outcome: 'ignored' })
    }
    const known = places.find(peer)
    if (known?.asked.equals(bytes)) return known.carriage?.repeat()
    const held = limits.admit(peer.address) ? places.hold({ address: peer.address, port: peer.port }, bytes) : null
    if (held === null) return deps.done({ ...none, outcome: 'busy' })
    const work: Promise<void> = serve(request, held)
      .catch(deps.failed)
      .finally(() => {
        places.leave(held)
        working.delete(work)
      })
    working.add(work)
  }

  async function serve(request: Request, held: Held): Promise<void> {
    const started = deps.now()
    const { peer } = held
    const name = normaliseName(request.filename)
    const end = (outcome: Transfer['outcome'], bytes: number): void => {
      const durationMs = deps.now().getTime() - started.getTime()
      deps.done({ peer: peer.address, name: name ?? '', outcome, bytes, durationMs })
    }
    const refuse = (packet: Packet, outcome: Transfer['outcome']): void => {
      limits.refund(peer.address)
      socket.send(encode(packet), peer.port, peer.address)
      end(outcome, 0)
    }
    if (request.op === 'wrq') return refuse(refusal.readOnly, 'refused')
    if (name === null) return refuse(refusal.denied, 'refused')
    const file = await deps.read(name, peer.address)
    if (held.state !== 'unproven') return end(outcomeOf(held, 'stopped'), 0)
    if (file === null) return refuse(refusal.notFound, 'not found')
    const content = share.content(file, request.mode)
    if (content === null) return refuse(refusal.tooLong, 'refused')
    if (!share.take(content)) return end('busy', 0)
    held.carriage = deps.carrier.carry({ address, peer, file: content, options: request.options }, () => {
      places.prove(held)
      limits.refund(peer.address)
    })
    const outcome = await held.carriage.ended.finally(() => share.give(content))
    end(outcomeOf(held, outcome), file.length)
  }

  socket.on('message', receive)
  try {
    const listening = once(socket, 'listening')
    socket.bind(handle === null ? { port, address, exclusive: true } : { fd: handle, exclusive: true })
    await listening
  } catch (cause) {
    socket.close()
    throw explain(cause, address, port)
  }
  socket.on('error', deps.failed)
  let closing: Promise<void> | null = null
  async function close(): Promise<void> {
    socket.off('message', receive)
    places.stopAll()
    await Promise.all(working)
    await new Promise<void>(resolve => socket.close(resolve))
  }
  return { port: socket.address().port, close: () => (closing ??= close()) }
}

function outcomeOf({ state }: Held, outcome: Carried): Transfer['outcome'] {
  if (state === 'crowded out') return 'busy'
  return state === 'given up' ? 'aborted by client' : outcome
}

function explain(cause: unknown, address: string, port: number): unknown {
  const where = `UDP port ${port} for TFTP on ${address}`
  const code = cause instanceof Error && 'code' in cause ? cause.code : null
  if (code === 'EADDRINUSE') {
    const remedy = `stop the other TFTP server (ss -lunp sport = :${port} names it)`
    return new Fault('conflict', `${where} is taken: ${remedy}`, { cause })
  }
  if (code === 'EACCES' || code === 'EPERM') {
    const remedy = 'start as root or with CAP_NET_BIND_SERVICE, or set tftp.port'
    return new Fault('forbidden', `${where} may not be opened: ${remedy}`, { cause })
  }
  if (code === 'ERR_INVALID_FD_TYPE') {
    return new Fault('invalid', `what was passed for TFTP on ${address} is no UDP socket over IPv4`, { cause })
  }
  if (code === 'EADDRNOTAVAIL') return new Fault('unavailable', `${where}: no interface has that address`, { cause })
  return cause
}
