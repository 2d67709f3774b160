// Clients of a TFTP server as a process of its own, each from its own address: all ask at once for the same file, and
// what arrives is compared by digest when all is over. Calls the C library itself, one loop for all sockets, so that it
// costs less than what it measures. With a seed, both directions lose, repeat and reorder packets. Prints
// { rounds, seconds, right, bytes, retries, cpu }.

import { createHash } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { EPOLLET, EPOLLIN, openPoll, waiterOn } from '../../../server/native/epoll.ts'
import { openLibc, pointerTo } from '../../../server/native/libc.ts'
import { receivePacket, sendPacket, socketAddress } from '../../../server/native/udp.ts'
import { seeded } from '../../helpers/random.ts'

interface Input {
  readonly server: string
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
const REST_MS = 300
const RETRY_MS = 1_000
const ATTEMPTS_MAX = 12
const loss = { lost: 0.01, twice: 0.02, late: 0.02, lateMs: 3 }
const random = seeded(input.seed ?? 0)
const libc = openLibc() ?? refuse('node:ffi is missing: this load needs Node 26')
const poll = waiterOn(libc, openPoll() ?? refuse('no epoll'))
const packet = Buffer.alloc(2048)
const packetAt = pointerTo(packet)
const size = BigInt(packet.length)
const from = Buffer.alloc(16)
const fromLength = Buffer.alloc(4)
const ack = Buffer.of(0, 4, 0, 0)
const ackAt = pointerTo(ack)
const options = `blksize\0${input.blockSize}\0${input.windowSize > 1 ? `windowsize\0${input.windowSize}\0` : ''}`
const request = Buffer.from(`\0\u0001${input.name}\0octet\0${options}`, 'latin1')
/** What a bad wire delivers later, in order of time. */
const late: Array<{ at: number; deliver: () => void }> = []
let retries = 0
const pending = new Set<Client>()

function refuse(why: string): never {
  throw new Error(why)
}

function begin(number: number, file: Buffer): Client {
  const fd = Number(libc.socket(2, 2 | 0x800, 0)) // AF_INET, SOCK_DGRAM | SOCK_NONBLOCK
  const address = `10.77.${128 + (number >>> 8)}.${number & 0xff || 254}`
  if (libc.bind(fd, socketAddress({ address, port: 0 }), 16) !== 0) refuse(`${address} is not this machine's`)
  const roomy = Buffer.alloc(4)
  roomy.writeInt32LE(1 << 20)
  libc.setsockopt(fd, 1, 8, roomy, 4) // SOL_SOCKET, SO_RCVBUF
  // Each is served once for each time that it hears something, in that order, as machines of their own would be.
  poll.add(fd, (EPOLLIN | EPOLLET) >>> 0)
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
  sendPacket(libc, client.fd, ackAt, ack.length)
}

function ask(client: Client): void {
  const deliver = (): void =>
    void libc.sendto(
      client.fd,
      request,
      BigInt(request.length),
      0,
      socketAddress({ address: input.server, port: 69 }),
      16
    )
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

/** Until the server has answered, its port is not known, and the socket is connected to nobody. */
function receiveFirst(client: Client): number {
  fromLength.writeUInt32LE(16)
  return Number(libc.recvfrom(client.fd, packet, size, 0, from, fromLength))
}

/** Reads what has come for one client: in lock step that is one packet, unless some were sent twice; else all. */
function drain(client: Client, now: number): void {
  const most = input.windowSize === 1 && client.attempts <= 1 && input.seed === null ? 1 : Infinity
  for (let read = 0; read < most; read++) {
    const length = client.port === 0 ? receiveFirst(client) : receivePacket(libc, client.fd, packetAt, packet.length)
    if (length < 4) return
    const port = client.port === 0 ? from.readUInt16BE(2) : client.port
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
    libc.connect(client.fd, socketAddress({ address: input.server, port }), 16)
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

/** All files once, each into its buffer. */
function fetchAll(files: readonly Buffer[]): { clients: readonly Client[]; seconds: number; cpu: number } {
  const clients = files.map((file, n) => begin(n + 1, file.fill(0)))
  const byHandle: Client[] = []
  for (const client of clients) {
    byHandle[client.fd] = client
    pending.add(client)
  }
  const started = performance.now()
  const cpuBefore = process.cpuUsage()
  let lookAt = 0
  let waitMs = 0
  let now = 0
  const ready = (fd: number): void => drain(byHandle[fd]!, now)
  while (pending.size > 0) {
    now = performance.now()
    if (now >= lookAt) {
      waitMs = look(clients, now)
      lookAt = now + waitMs
    }
    poll.wait(waitMs, ready)
  }
  const seconds = (performance.now() - started) / 1000
  const { user, system } = process.cpuUsage(cpuBefore)
  while (late[0] !== undefined) late.shift()!.deliver()
  for (const { fd } of clients) libc.close(fd)
  return { clients, seconds, cpu: (user + system) / 1e6 }
}

const buffers = Array.from({ length: input.clients }, () => Buffer.alloc(input.bytes + input.blockSize))
// What is measured is the server: this program's own code is compiled, and its memory there, before that. What a server
// writes down about transfers that ended is over, too.
if (input.seed === null) {
  fetchAll(buffers)
  await wait(REST_MS)
}
retries = 0
const { clients, seconds, cpu } = fetchAll(buffers)
const files = clients.map(({ file, length }) => file.subarray(0, length))
const right = files.filter((file, n) => {
  const isRight = createHash('sha256').update(file).digest('hex') === input.sha256
  return isRight && clients[n]!.state === 'complete'
}).length
const bytes = files.reduce((sum, file) => sum + file.length, 0)
process.stdout.write(JSON.stringify({ rounds: input.seed === null ? 2 : 1, seconds, right, bytes, retries, cpu }))
