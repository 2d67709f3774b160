// Clients of a DHCP server behind one relay, as a process of its own: four packets each, so many of them under way at
// once. Works on bytes, so that it costs less than what it measures. Prints { seconds, done, retries, failed }.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { RELAY, SERVER } from './network.ts'

interface Input {
  /** Hardware addresses are numbered from here. */
  readonly first: number
  /** Each takes its address, or the same one again, this often. */
  readonly rounds: number
  readonly clients: number
  readonly window: number
}

const { first, rounds, clients, window } = JSON.parse(process.argv[2] ?? '') as Input

const RETRY_MS = 1_000
const ATTEMPTS_MAX = 5
const COOKIE = 0x63825363

interface Asking {
  readonly client: number
  bytes: Buffer
  state: 'discover' | 'request'
  sentAt: number
  attempts: number
}

const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 })
socket.bind(67, RELAY)
await once(socket, 'listening')

const asking = new Map<number, Asking>()
let next = 0
let retries = 0
let failed = 0
let granted = 0
const started = performance.now()
const over = Promise.withResolvers<void>()

/** DISCOVER or REQUEST of client n as a relay passes it on: BOOTREQUEST, hops 1, giaddr, chaddr. */
function messageOf(client: number, options: readonly number[]): Buffer {
  const bytes = Buffer.alloc(300)
  bytes.set([1, 1, 6, 1])
  bytes.writeUInt32BE(client, 4)
  bytes.set(RELAY.split('.').map(Number), 24)
  bytes.set([0x52, 0x54], 28)
  bytes.writeUInt32BE(first + (client % clients), 30)
  bytes.writeUInt32BE(COOKIE, 236)
  bytes.set([...options, 55, 4, 1, 3, 6, 15, 255], 240)
  return bytes
}

function send(one: Asking): void {
  one.sentAt = performance.now()
  one.attempts += 1
  socket.send(one.bytes, 67, SERVER)
}

function begin(): void {
  while (asking.size < window && next < clients * rounds) {
    const one: Asking = { client: next, bytes: messageOf(next, [53, 1, 1]), state: 'discover', sentAt: 0, attempts: 0 }
    asking.set(next++, one)
    send(one)
  }
  if (asking.size === 0) over.resolve()
}

socket.on('message', bytes => {
  const one = asking.get(bytes.readUInt32BE(4))
  const type = optionOf(bytes, 53)?.[0]
  if (one === undefined || type === undefined) return
  if (type === 2 && one.state === 'discover') {
    const server = optionOf(bytes, 54) ?? Buffer.alloc(4)
    one.bytes = messageOf(one.client, [53, 1, 3, 50, 4, ...bytes.subarray(16, 20), 54, 4, ...server])
    one.state = 'request'
    one.attempts = 0
    send(one)
  } else if ((type === 5 || type === 6) && one.state === 'request') {
    asking.delete(one.client)
    if (type === 5) granted += 1
    else failed += 1
    begin()
  }
})

function optionOf(bytes: Buffer, code: number): Buffer | undefined {
  for (let at = 240; at + 1 < bytes.length && bytes[at] !== 255; at += bytes[at] === 0 ? 1 : 2 + bytes[at + 1]!) {
    if (bytes[at] === code) return bytes.subarray(at + 2, at + 2 + bytes[at + 1]!)
  }
  return undefined
}

const timer = setInterval(() => {
  const late = performance.now() - RETRY_MS
  for (const one of asking.values()) {
    if (one.sentAt > late) continue
    if (one.attempts < ATTEMPTS_MAX) {
      retries += 1
      send(one)
      continue
    }
    asking.delete(one.client)
    failed += 1
  }
  begin()
}, 100)

begin()
await over.promise
clearInterval(timer)
socket.close()
const seconds = (performance.now() - started) / 1000
const { user, system } = process.cpuUsage()
process.stdout.write(JSON.stringify({ seconds, done: granted, retries, failed, cpu: (user + system) / 1e6 }))
