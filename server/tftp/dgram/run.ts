// Transfers on this thread, each on a node:dgram socket of its own that is connected to its client, so that it hears
// nobody else. The way for a Node without node:ffi.

import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { type Carriage, type Carried, type Carrier, type Errand, transferMsMax } from '../carrier.ts'
import { decode, encode } from '../packet.ts'
import { encodeBlocks, type Event, isProven, open, type Step, step, windowBytes } from '../session.ts'

export function openDgramCarrier(): Carrier {
  return { carry, close: async () => undefined }
}

function carry(errand: Errand, proven: () => void): Carriage {
  const socket = createSocket('udp4')
  const { promise, resolve, reject } = Promise.withResolvers<Carried>()
  let [session, effects]: Step = open(errand.file, errand.options)
  let timer: NodeJS.Timeout | undefined
  let isOver = false
  let isTold = false

  function end(settle: () => void): void {
    if (isOver) return
    isOver = true
    clearTimeout(timer)
    clearTimeout(late)
    socket.close()
    settle()
  }
  const late = setTimeout(() => end(() => resolve('timed out')), transferMsMax)
  socket.on('error', error => end(() => (isGone(error) ? resolve('client gone') : reject(error))))
  socket.on('message', bytes => {
    const packet = decode(bytes)
    if (packet !== null) feed({ type: 'packet', packet })
  })

  function feed(event: Event): void {
    if (isOver) return
    ;[session, effects] = step(session, event)
    if (isProven(session) && !isTold) {
      isTold = true
      proven()
    }
    perform()
  }

  function perform(): void {
    for (const effect of effects) {
      if (effect.type === 'send') socket.send(encode(effect.packet))
      else if (effect.type === 'blocks') sendBlocks(socket, session, effect)
      else if (effect.type === 'close') end(() => resolve(effect.outcome))
      else {
        clearTimeout(timer)
        timer = setTimeout(feed, effect.ms, { type: 'timeout' })
      }
    }
  }

  connect(socket, errand).then(
    () => !isOver && perform(),
    (error: unknown) => end(() => reject(error))
  )
  return {
    ended: promise,
    repeat: () => feed({ type: 'asked again' }),
    stop: () => end(() => resolve('stopped'))
  }
}

async function connect(socket: Socket, { address, peer }: Errand): Promise<void> {
  const listening = once(socket, 'listening')
  socket.bind({ port: 0, address, exclusive: true })
  await listening
  const connected = once(socket, 'connect')
  socket.connect(peer.port, peer.address)
  await connected
}

function sendBlocks(socket: Socket, session: Step[0], { first, count }: { first: number; count: number }): void {
  const bytes = Buffer.allocUnsafe(windowBytes(session))
  const length = encodeBlocks(session, first, count, bytes)
  const size = session.blockSize + 4
  for (let at = 0; at < length; at += size) socket.send(bytes.subarray(at, Math.min(at + size, length)))
}

/** A client that has closed its socket: an abort after the size was known, or a machine that was switched off. */
function isGone(error: Error): boolean {
  return 'code' in error && (error.code === 'ECONNREFUSED' || error.code === 'EHOSTUNREACH')
}
