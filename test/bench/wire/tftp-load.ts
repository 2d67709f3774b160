// Clients of a TFTP server as a process of its own, each from its own address: all ask at once for the same file, and
// what arrives is compared by digest. With a seed, both directions lose, repeat and reorder packets. Prints
// { seconds, right, bytes, retries }.

import { createHash } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { seeded } from '../../helpers/random.ts'
import { SERVER } from './network.ts'

interface Input {
  readonly clients: number
  readonly name: string
  readonly sha256: string
  readonly blockSize: number
  readonly windowSize: number
  /** Null: nothing is lost. */
  readonly seed: number | null
}

const input = JSON.parse(process.argv[2] ?? '') as Input
const RETRY_MS = 1_000
const ATTEMPTS_MAX = 12
const loss = { lost: 0.01, twice: 0.02, late: 0.02, lateMs: 3 }
const random = seeded(input.seed ?? 0)
let retries = 0

/** One packet over the wire of this run: once, never, twice or late. */
function pass(deliver: () => void): void {
  if (input.seed === null) return deliver()
  if (random() < loss.lost) return
  if (random() < loss.twice) deliver()
  if (random() < loss.late) setTimeout(deliver, loss.lateMs)
  else deliver()
}

async function fetchOne(client: number): Promise<{ right: boolean; bytes: number }> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 })
  socket.bind(0, `10.77.${128 + (client >>> 8)}.${client & 0xff || 254}`)
  await once(socket, 'listening')
  const blocks: Buffer[] = []
  let port = 0
  let inWindow = 0
  let gapTold = false
  let attempts = 0
  let last: Buffer = Buffer.alloc(0)
  const over = Promise.withResolvers<boolean>()
  let timer = setTimeout(again, RETRY_MS)

  function send(bytes: Buffer): void {
    last = bytes
    pass(() => {
      if (!closed) socket.send(bytes, port === 0 ? 69 : port, SERVER)
    })
  }
  let closed = false
  function again(): void {
    attempts += 1
    retries += 1
    if (attempts > ATTEMPTS_MAX) return over.resolve(false)
    inWindow = 0
    gapTold = false
    send(port === 0 ? last : ack())
    timer = setTimeout(again, RETRY_MS)
  }
  function ack(): Buffer {
    return Buffer.of(0, 4, (blocks.length >>> 8) & 0xff, blocks.length & 0xff)
  }
  function take(bytes: Buffer, from: number): void {
    if (closed || (port !== 0 && from !== port)) return
    port = from
    const op = bytes[1]
    if (op === 5) return over.resolve(false)
    if (op === 6 && blocks.length === 0) return send(ack())
    if (op !== 3) return
    if (bytes.readUInt16BE(2) !== ((blocks.length + 1) & 0xffff)) {
      // A gap: said once a window. What is old already says nothing.
      const ahead = (bytes.readUInt16BE(2) - blocks.length) & 0xffff
      if (input.windowSize > 1 && ahead < 0x8000 && !gapTold) {
        gapTold = true
        inWindow = 0
        send(ack())
      }
      return
    }
    blocks.push(bytes.subarray(4))
    gapTold = false
    inWindow += 1
    attempts = 0
    timer.refresh()
    const end = bytes.length < input.blockSize + 4
    if (end || inWindow === input.windowSize) {
      inWindow = 0
      send(ack())
    }
    if (end) over.resolve(true)
  }

  socket.on('message', (bytes, peer) => pass(() => take(bytes, peer.port)))
  const options = `blksize\0${input.blockSize}\0${input.windowSize > 1 ? `windowsize\0${input.windowSize}\0` : ''}`
  send(Buffer.from(`\0\u0001${input.name}\0octet\0${options}`, 'latin1'))
  const complete = await over.promise
  clearTimeout(timer)
  await new Promise(resolve => setImmediate(resolve)) // the last acknowledgement leaves first
  closed = true
  socket.close()
  const file = Buffer.concat(blocks)
  const digest = createHash('sha256').update(file).digest('hex')
  return { right: complete && digest === input.sha256, bytes: file.length }
}

const started = performance.now()
const seen = await Promise.all(Array.from({ length: input.clients }, (_, n) => fetchOne(n + 1)))
const seconds = (performance.now() - started) / 1000
const bytes = seen.reduce((sum, one) => sum + one.bytes, 0)
process.stdout.write(JSON.stringify({ seconds, right: seen.filter(one => one.right).length, bytes, retries }))
