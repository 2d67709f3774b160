// A TFTP client for simulated machines and tests (RFC 1350, 2347, 2348, 2349, 7440), in the order that firmware uses:
// it may ask for the size first and abort, as OVMF does. Works on a lossy wire; checks that only its server speaks.

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { decode, encode, type Options, type Packet } from '../../server/tftp/packet.ts'

export interface FileRequest {
  readonly server: string
  readonly port: number
  readonly name: string
  /** The machine's own address: replies come only there. */
  readonly localAddress?: string
  readonly blockSize?: number
  readonly windowSize?: number
  readonly timeoutMs?: number
  readonly attempts?: number
  readonly signal?: AbortSignal
}

/** Fetches a file; rejects with the server's own words, or when nothing comes in time. */
export async function fetchFile(wanted: FileRequest): Promise<Buffer> {
  return exchange(wanted, { tsize: '0', ...negotiation(wanted) }, receive)
}

/** The size of a file, asked as OVMF does: OACK, then ERROR 8, and no transfer. */
export async function fetchSize(wanted: FileRequest): Promise<number> {
  return exchange(wanted, { tsize: '0', ...negotiation(wanted) }, async (socket, peer, first) => {
    const refusal: Packet = { op: 'error', code: 8, message: 'User aborted the transfer' }
    await sendTo(socket, peer, refusal)
    if (first.op !== 'oack') throw new Error(`no option acknowledgement for ${wanted.name}`)
    return Number(first.options.tsize)
  })
}

type Rest<T> = (socket: Socket, peer: RemoteInfo, first: Packet, wanted: FileRequest) => Promise<T>

async function exchange<T>(wanted: FileRequest, options: Options, rest: Rest<T>): Promise<T> {
  const socket = createSocket('udp4')
  socket.bind(0, wanted.localAddress ?? '0.0.0.0')
  await once(socket, 'listening')
  try {
    const request = encode({ op: 'rrq', filename: wanted.name, mode: 'octet', options })
    const [first, peer] = await ask(socket, wanted, () => socket.send(request, wanted.port, wanted.server), null)
    return await rest(socket, peer, first, wanted)
  } finally {
    socket.close()
  }
}

/** Acknowledges each window, and after a gap or a silence the last block that came in order (RFC 7440 §4). */
async function receive(socket: Socket, peer: RemoteInfo, first: Packet, wanted: FileRequest): Promise<Buffer> {
  const agreed = first.op === 'oack' ? first.options : {}
  const blockSize = Number(agreed.blksize ?? 512)
  const windowSize = Number(agreed.windowsize ?? 1)
  const blocks: Buffer[] = []
  const acknowledge = (): void =>
    socket.send(encode({ op: 'ack', block: blocks.length & 0xffff }), peer.port, peer.address)
  let packet = first
  let inWindow = 0
  for (;;) {
    let due = packet.op === 'oack'
    if (packet.op === 'data' && packet.block === ((blocks.length + 1) & 0xffff)) {
      blocks.push(packet.bytes)
      inWindow += 1
      if (packet.bytes.length < blockSize) {
        await sendTo(socket, peer, { op: 'ack', block: blocks.length & 0xffff }) // before the socket is closed
        return Buffer.concat(blocks)
      }
      due = inWindow === windowSize
    } else if (packet.op === 'data' && windowSize > 1 && inWindow > 0) {
      due = true // a gap: say where it begins, once a window
    }
    if (due) {
      inWindow = 0
      acknowledge()
    }
    ;[packet] = await ask(socket, wanted, acknowledge, peer)
  }
}

async function sendTo(socket: Socket, peer: RemoteInfo, packet: Packet): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.send(encode(packet), peer.port, peer.address, error => (error === null ? resolve() : reject(error)))
  })
}

/** The next packet from the peer (from anybody when there is none yet); `again` after each silence. */
async function ask(
  socket: Socket,
  { name, timeoutMs = 1500, attempts = 5, signal }: FileRequest,
  again: () => void,
  peer: RemoteInfo | null
): Promise<[Packet, RemoteInfo]> {
  if (peer === null) again()
  for (let attempt = 0; attempt < attempts; attempt++) {
    const answer = await next(socket, peer, timeoutMs, signal)
    signal?.throwIfAborted()
    if (answer === null) {
      again()
      continue
    }
    if (answer[0].op === 'error') throw new Error(`TFTP ${name}: ${answer[0].message} (${answer[0].code})`)
    return answer
  }
  throw new Error(`TFTP ${name}: no answer`)
}

/** Packets that came while nobody waited are kept by the listener's queue, one a socket. */
const queues = new WeakMap<Socket, Array<[Buffer, RemoteInfo]>>()

function next(
  socket: Socket,
  peer: RemoteInfo | null,
  timeoutMs: number,
  signal: AbortSignal | undefined
): Promise<[Packet, RemoteInfo] | null> {
  const queue = queues.get(socket) ?? listen(socket)
  return new Promise(resolve => {
    const end = (value: [Packet, RemoteInfo] | null): void => {
      clearTimeout(timer)
      socket.off('queued', look)
      signal?.removeEventListener('abort', stop)
      resolve(value)
    }
    const stop = (): void => end(null)
    const look = (): void => {
      for (let entry = queue.shift(); entry !== undefined; entry = queue.shift()) {
        const [bytes, from] = entry
        if (peer !== null && (from.port !== peer.port || from.address !== peer.address)) continue
        const packet = decode(bytes)
        if (packet !== null) return end([packet, from])
      }
    }
    const timer = setTimeout(stop, timeoutMs)
    signal?.addEventListener('abort', stop)
    socket.on('queued', look)
    look()
  })
}

function listen(socket: Socket): Array<[Buffer, RemoteInfo]> {
  const queue: Array<[Buffer, RemoteInfo]> = []
  socket.on('message', (bytes, from) => {
    queue.push([bytes, from])
    socket.emit('queued')
  })
  queues.set(socket, queue)
  return queue
}

function negotiation({ blockSize, windowSize }: FileRequest): Record<string, string> {
  return {
    ...(blockSize === undefined ? {} : { blksize: String(blockSize) }),
    ...(windowSize === undefined ? {} : { windowsize: String(windowSize) })
  }
}
