// Clients of a TFTP server as a process of its own, each from its own address: all ask at once for the same file, and
// what arrives is compared by digest when all is over. Calls the C library itself, one loop for all sockets, so that it
// costs less than what it measures. With a seed, both directions lose, repeat and reorder packets. Prints
// { seconds, right, bytes, retries, cpu }.

import { createHash } from 'node:crypto'
import { EPOLLIN, openPoll, waiterOn } from '../../../server/native/epoll.ts'
import { openLibc } from '../../../server/native/libc.ts'
import { socketAddress } from '../../../server/native/udp.ts'
import { seeded } from '../../helpers/random.ts'
import { SERVER } from './network.ts'

interface Input {
  readonly clients: number
  readonly name: string
  readonly sha256: string
  readonly bytes: number
  readonly blockSize: number
  readonly windowSize: number
  /** Null: nothing is lost. */
  readonly seed: number | null
}

interface Client {
  readonly fd: number
  readonly file: Buffer
  length: number
  blocks: number
  /** The server's port of this transfer; 0 until it has answered. */
  port: number
  inWindow: number
  gapTold: boolean
  attempts: number
  dueAt: number
  state: 'open' | 'complete' | 'failed'
}

const input = JSON.parse(process.argv[2] ?? '') as Input
const RETRY_MS = 1_000
const ATTEMPTS_MAX = 12
const loss = { lost: 0.01, twice: 0.02, late: 0.02, lateMs: 3 }
const random = seeded(input.seed ?? 0)
const libc = openLibc() ?? refuse('node:ffi is missing: this load needs Node 26')
const poll = waiterOn(libc, openPoll() ?? refuse('no epoll'))
const packet = Buffer.alloc(2048)
const size = BigInt(packet.length)
const from = Buffer.alloc(16)
const fromLength = Buffer.alloc(4)
const ack = Buffer.of(0, 4, 0, 0)
const options = `blksize\0${input.blockSize}\0${input.windowSize > 1 ? `windowsize\0${input.windowSize}\0` : ''}`
const request = Buffer.from(`\0\u0001${input.name}\0octet\0${options}`, 'latin1')
/** What a bad wire delivers later, in order of time. */
const late: Array<{ at: number; deliver: () => void }> = []
let retries = 0
const pending = new Set<Client>()

function refuse(why: string): never {
  throw new Error(why)
}

function begin(number: number): Client {
  const fd = Number(libc.socket(2, 2 | 0x800, 0)) // AF_INET, SOCK_DGRAM | SOCK_NONBLOCK
  const address = `10.77.${128 + (number >>> 8)}.${number & 0xff || 254}`
  if (libc.bind(fd, socketAddress({ address, port: 0 }), 16) !== 0) refuse(`${address} is not this machine's`)
  const roomy = Buffer.alloc(4)
  roomy.writeInt32LE(1 << 20)
  libc.setsockopt(fd, 1, 8, roomy, 4) // SOL_SOCKET, SO_RCVBUF
  poll.add(fd, EPOLLIN)
  const file = Buffer.alloc(input.bytes + input.blockSize)
  const none = { length: 0, blocks: 0, port: 0, inWindow: 0, gapTold: false, attempts: 0, dueAt: 0 }
  return { fd, file, ...none, state: 'open' }
}

/** One packet over the wire of this run: once, never, twice or late. */
function pass(deliver: () => void): void {
  if (random() < loss.lost) return
  if (random() < loss.twice) deliver()
  if (random() < loss.late) late.push({ at: performance.now() + loss.lateMs, deliver })
  else deliver()
}

function acknowledge(client: Client): void {
  client.inWindow = 0
  const block = client.blocks & 0xffff
  if (input.seed !== null) return pass(() => sendAck(client, block))
  sendAck(client, block)
}

function sendAck(client: Client, block: number): void {
  ack.writeUInt16BE(block, 2)
  libc.send(client.fd, ack, 4n, 0)
}

function ask(client: Client): void {
  const deliver = (): void =>
    void libc.sendto(client.fd, request, BigInt(request.length), 0, socketAddress({ address: SERVER, port: 69 }), 16)
  if (input.seed === null) deliver()
  else pass(deliver)
}

function again(client: Client, now: number): void {
  client.attempts += 1
  client.dueAt = now + RETRY_MS
  client.gapTold = false
  if (client.attempts > ATTEMPTS_MAX) return end(client, 'failed')
  if (client.attempts > 1) retries += 1
  if (client.port === 0) ask(client)
  else acknowledge(client)
}

function end(client: Client, state: 'complete' | 'failed'): void {
  client.state = state
  pending.delete(client)
}

/** Reads what has come for one client: in lock step that is one packet, in a window all that is there. */
function drain(client: Client, now: number): void {
  for (let read = 0; read < input.windowSize; read++) {
    fromLength.writeUInt32LE(16)
    const length = Number(libc.recvfrom(client.fd, packet, size, 0, from, fromLength))
    if (length < 4) return
    const port = from.readUInt16BE(2)
    if (input.seed === null) {
      take(client, packet, length, port, now)
    } else {
      const copy = Buffer.from(packet.subarray(0, length))
      pass(() => take(client, copy, length, port, performance.now()))
    }
  }
}

function take(client: Client, bytes: Buffer, length: number, port: number, now: number): void {
  if (client.port === 0) {
    client.port = port
    libc.connect(client.fd, socketAddress({ address: SERVER, port }), 16)
  }
  if (port !== client.port) return
  if (bytes[1] === 6 && client.blocks === 0) return acknowledge(client)
  if (client.state !== 'open') return
  if (bytes[1] === 5) return end(client, 'failed')
  if (bytes[1] !== 3) return
  const ahead = (bytes.readUInt16BE(2) - client.blocks) & 0xffff
  if (ahead !== 1) {
    // A gap: said once a window. What is old already says nothing.
    if (input.windowSize === 1 || ahead === 0 || ahead >= 0x8000 || client.gapTold) return
    client.gapTold = true
    return acknowledge(client)
  }
  client.length += bytes.copy(client.file, client.length, 4, length)
  client.blocks += 1
  client.inWindow += 1
  client.gapTold = false
  client.attempts = 1
  client.dueAt = now + RETRY_MS
  const isLast = length < input.blockSize + 4 || client.length > input.bytes
  if (isLast || client.inWindow === input.windowSize) acknowledge(client)
  if (isLast) end(client, 'complete')
}

/** Sends again what had no answer, and delivers what was late. Returns how long nothing is due, in ms. */
function look(clients: readonly Client[], now: number): number {
  while (late[0] !== undefined && late[0].at <= now) late.shift()!.deliver()
  for (const client of clients) if (client.state === 'open' && client.dueAt <= now) again(client, now)
  return late.length > 0 ? 1 : 20
}

const clients = Array.from({ length: input.clients }, (_, n) => begin(n + 1))
for (const client of clients) pending.add(client)
const byHandle = new Map(clients.map(client => [client.fd, client]))
const started = performance.now()
const cpuBefore = process.cpuUsage()
let lookAt = 0
let wait = 0
while (pending.size > 0) {
  const now = performance.now()
  if (now >= lookAt) {
    wait = look(clients, now)
    lookAt = now + wait
  }
  poll.wait(wait, fd => drain(byHandle.get(fd)!, now))
}
const seconds = (performance.now() - started) / 1000
const { user, system } = process.cpuUsage(cpuBefore)
while (late[0] !== undefined) late.shift()!.deliver()
const files = clients.map(({ file, length }) => file.subarray(0, length))
const right = files.filter((file, n) => {
  const isRight = createHash('sha256').update(file).digest('hex') === input.sha256
  return isRight && clients[n]!.state === 'complete'
}).length
const bytes = files.reduce((sum, file) => sum + file.length, 0)
process.stdout.write(JSON.stringify({ seconds, right, bytes, retries, cpu: (user + system) / 1e6 }))
