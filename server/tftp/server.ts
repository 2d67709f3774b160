// The I/O shell around session.ts: one socket listens, and each transfer has its own, bound to the server's address and
// connected to its client, so that it hears nobody else. Requests that open no transfer are answered from the listener
// and cost no socket; what is no request is dropped, so that nothing is reflected.

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { Fault } from '../core/fault.ts'
import { decode, encode, normaliseName, type Packet } from './packet.ts'
import { type Event, open, type Outcome, refusal, type Step, step } from './session.ts'

export interface Transfer {
  readonly peer: string
  readonly name: string
  readonly outcome: Outcome | 'not found' | 'refused' | 'ignored' | 'busy' | 'client gone' | 'stopped'
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
}

export interface TftpServer {
  readonly port: number
  readonly close: () => Promise<void>
}

/** Sockets at once, and those of one client: firmware needs one, and another while an old one times out. */
const TRANSFERS_MAX = 512
const TRANSFERS_MAX_PER_ADDRESS = 8
/** A client that acknowledges just before each timeout may not keep a socket for days. */
const TRANSFER_MS_MAX = 10 * 60_000

const SHUTDOWN = 'the server is closing'

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
  const transfers = new Map<string, { readonly peer: RemoteInfo; readonly stop: AbortController }>()
  const working = new Set<Promise<void>>()

  function receive(bytes: Buffer, peer: RemoteInfo): void {
    const request = decode(bytes)
    const none = { peer: peer.address, name: '', bytes: 0, durationMs: 0 }
    if (request === null || (request.op !== 'rrq' && request.op !== 'wrq')) {
      return deps.done({ ...none, outcome: 'ignored' })
    }
    const key = `${peer.address}:${peer.port}`
    if (transfers.has(key)) return // asked again because our answer was slow or lost: the session repeats it
    if (isBusy(peer)) return deps.done({ ...none, outcome: 'busy' })
    const stop = new AbortController()
    transfers.set(key, { peer, stop })
    const work: Promise<void> = serve(request, peer, stop.signal)
      .catch(deps.failed)
      .finally(() => {
        transfers.delete(key)
        working.delete(work)
      })
    working.add(work)
  }

  function isBusy({ address: asking }: RemoteInfo): boolean {
    if (transfers.size >= TRANSFERS_MAX) return true
    let own = 0
    for (const { peer } of transfers.values()) own += peer.address === asking ? 1 : 0
    return own >= TRANSFERS_MAX_PER_ADDRESS
  }

  async function serve(request: Packet & { op: 'rrq' | 'wrq' }, peer: RemoteInfo, signal: AbortSignal): Promise<void> {
    const started = deps.now()
    const name = normaliseName(request.filename)
    const end = (outcome: Transfer['outcome'], bytes: number): void => {
      const durationMs = deps.now().getTime() - started.getTime()
      deps.done({ peer: peer.address, name: name ?? '', outcome, bytes, durationMs })
    }
    const refuse = (packet: Packet, outcome: Transfer['outcome']): void => {
      socket.send(encode(packet), peer.port, peer.address)
      end(outcome, 0)
    }
    if (request.op === 'wrq') return refuse(refusal.readOnly, 'refused')
    if (name === null) return refuse(refusal.denied, 'refused')
    const file = await deps.read(name, peer.address)
    if (signal.aborted) return
    if (file === null) return refuse(refusal.notFound, 'not found')
    end(await transfer(address, peer, open(file, request.mode, request.options), signal), file.length)
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
    for (const { stop } of transfers.values()) stop.abort(SHUTDOWN)
    await Promise.all(working)
    await new Promise<void>(resolve => socket.close(resolve))
  }
  return { port: socket.address().port, close: () => (closing ??= close()) }
}

async function transfer(
  address: string,
  peer: RemoteInfo,
  first: Step,
  stop: AbortSignal
): Promise<Transfer['outcome']> {
  const socket = createSocket('udp4')
  try {
    socket.bind({ port: 0, address, exclusive: true })
    await once(socket, 'listening')
    socket.connect(peer.port, peer.address)
    await once(socket, 'connect')
    return await run(socket, first, AbortSignal.any([stop, AbortSignal.timeout(TRANSFER_MS_MAX)]))
  } finally {
    socket.close()
  }
}

function run(socket: Socket, first: Step, stop: AbortSignal): Promise<Transfer['outcome']> {
  return new Promise((resolve, reject) => {
    let [session] = first
    let timer: NodeJS.Timeout | undefined

    const end = (outcome: Transfer['outcome']): void => {
      clearTimeout(timer)
      stop.removeEventListener('abort', late)
      resolve(outcome)
    }
    const late = (): void => end(stop.reason === SHUTDOWN ? 'stopped' : 'timed out')
    // The server was closed while this transfer's socket was being opened.
    if (stop.aborted) return late()
    stop.addEventListener('abort', late)
    socket.on('error', error => {
      if (isGone(error)) return end('client gone')
      clearTimeout(timer)
      reject(error)
    })
    socket.on('message', bytes => {
      const packet = decode(bytes)
      if (packet !== null) feed({ type: 'packet', packet })
    })
    if (stop.aborted) return late()
    perform(first)

    function feed(event: Event): void {
      perform(step(session, event))
    }

    function perform([next, effects]: Step): void {
      session = next
      for (const effect of effects) {
        switch (effect.type) {
          case 'send':
            socket.send(encode(effect.packet))
            break
          case 'wait':
            clearTimeout(timer)
            timer = setTimeout(feed, effect.ms, { type: 'timeout' })
            break
          case 'close':
            end(effect.outcome)
        }
      }
    }
  })
}

/** A client that has closed its socket: an abort after the size was known, or a machine that was switched off. */
function isGone(error: Error): boolean {
  return 'code' in error && (error.code === 'ECONNREFUSED' || error.code === 'EHOSTUNREACH')
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
