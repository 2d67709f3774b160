// The thread of transfers: one loop for the sockets of all, each connected to its client, so that it hears nobody
// else. Packets are read and written by calls of the C library, a window in one call; what to say is session.ts's. A
// call that waits is not ended by Node, so none waits long.

import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { EPOLLERR, EPOLLIN, type Poll, waiterOn } from '../../native/epoll.ts'
import { pointerTo, type Libc, openLibc } from '../../native/libc.ts'
import { openConnected, partSends, receivePacket, sendPacket } from '../../native/udp.ts'
import { type Carried, type Errand, transferMsMax } from '../carrier.ts'
import { decode, encode } from '../packet.ts'
import { advance, encodeBlocks, type Event, isProven, open, type Owned, type Step, step } from '../session.ts'
import type { Order, Report } from './messages.ts'

interface Running {
  readonly id: number
  readonly handle: number
  readonly startedAt: number
  session: Owned
  dueAt: number
  isProven: boolean
  /** Whether the kernel parts a window into packets: not known before the first. */
  parts: 'not tried' | 'yes' | 'no'
}

/** How late a timeout may be, and how long a thread with nothing to do takes to notice that the program ends. */
const LOOK_MS = 50
const IDLE_MS = 500

const libc: Libc = openLibc() ?? fail('node:ffi is gone')
const waiter = waiterOn(libc, workerData as Poll)
const port = parentPort ?? fail('this is no thread')
const running = new Map<number, Running>()
const handles = new Map<number, number>()
/** Larger than any packet that a client may send; the window of one session at a time. */
const received = Buffer.alloc(2048)
/** Its beginning as an ACK fills it: what comes most often needs no view of its own. */
const receivedAck = received.subarray(0, 4)
const window = Buffer.alloc(1 << 16)
const receivedAt = pointerTo(received)
const windowAt = pointerTo(window)
let isOpen = true
/** Read once a round: a clock for timeouts need not be better. */
let now = performance.now()

function fail(why: string): never {
  throw new Error(why)
}

/** Of this round: many transfers begin and end together, and each message wakes the other thread. */
let reports: Report[] = []

function tell(report: Report): void {
  reports.push(report)
}

function obey(order: Order): void {
  if (order.type === 'close') {
    for (const one of running.values()) end(one, 'stopped')
    isOpen = false
    return
  }
  if (order.type === 'carry') return begin(order.id, order.errand)
  const one = running.get(handles.get(order.id) ?? -1)
  if (one === undefined) return
  if (order.type === 'stop') end(one, 'stopped')
  else feed(one, { type: 'asked again' })
}

function begin(id: number, { address, peer, file, options }: Errand): void {
  // What crosses between threads is a plain array.
  const first = open(Buffer.from(file.buffer, file.byteOffset, file.byteLength), options)
  const handle = openConnected(libc, address, peer)
  if (handle === null) return tell({ type: 'failed', id, message: `no socket from ${address} to ${peer.address}` })
  const one: Running = {
    id,
    handle,
    startedAt: now,
    session: first[0],
    dueAt: now,
    isProven: false,
    parts: 'not tried'
  }
  running.set(handle, one)
  handles.set(id, handle)
  waiter.add(handle, EPOLLIN)
  perform(one, first)
}

function feed(one: Running, event: Event): void {
  try {
    perform(one, step(one.session, event))
  } catch (error) {
    lose(one, error)
  }
}

/** A bug: the transfer that it hit is over, the others go on. */
function lose(one: Running, error: unknown): void {
  forget(one)
  tell({ type: 'failed', id: one.id, message: error instanceof Error ? (error.stack ?? '') : String(error) })
}

function perform(one: Running, [session, effects]: Step): void {
  one.session = session
  if (!one.isProven && isProven(session)) {
    one.isProven = true
    tell({ type: 'proven', id: one.id })
  }
  for (const effect of effects) {
    if (effect.type === 'blocks') sendBlocks(one, effect.first, effect.count)
    else if (effect.type === 'wait') one.dueAt = now + effect.ms
    else if (effect.type === 'close') end(one, effect.outcome)
    else {
      const bytes = encode(effect.packet)
      // Refused once for an ICMP answer to an earlier packet; when refused again, it is as good as lost on the wire.
      if (!sendPacket(libc, one.handle, bytes, bytes.length)) sendPacket(libc, one.handle, bytes, bytes.length)
    }
  }
}

function sendBlocks(one: Running, first: number, count: number): void {
  const size = one.session.blockSize + 4
  if (count > 1 && one.parts === 'not tried') one.parts = partSends(libc, one.handle, size) ? 'yes' : 'no'
  if (count === 1 || one.parts === 'yes') {
    if (sendPacket(libc, one.handle, windowAt, encodeBlocks(one.session, first, count, window))) return
    // A device that cannot part them (EIO, EINVAL), or an ICMP answer: one by one from now on.
    if (one.parts === 'yes') one.parts = partSends(libc, one.handle, 0) ? 'no' : 'yes'
  }
  for (let block = first; block < first + count; block++) {
    sendPacket(libc, one.handle, windowAt, encodeBlocks(one.session, block, 1, window))
  }
}

/**
 * An ICMP answer on a connected socket says that the client has closed its own, or is switched off: it is read first,
 * and behind it may be what the client said last.
 */
function receive(handle: number, events: number): void {
  const one = running.get(handle)
  if (one === undefined) return
  const failed = (events & EPOLLERR) !== 0
  let length = receivePacket(libc, handle, receivedAt, received.length)
  if (length < 0 && failed) length = receivePacket(libc, handle, receivedAt, received.length)
  if (length < 0 && failed) return end(one, 'client gone')
  if (length === receivedAck.length && one.isProven && isNext(one)) return
  const packet = length < 0 ? null : decode(length === receivedAck.length ? receivedAck : received.subarray(0, length))
  if (packet !== null) feed(one, { type: 'packet', packet })
}

/** What comes most often, without an object for each packet: the ACK of all that was sent, when there is more. */
function isNext(one: Running): boolean {
  const { session } = one
  if (receivedAck[0] !== 0 || receivedAck[1] !== 4) return false
  if (!advance(session, (receivedAck[2]! << 8) | receivedAck[3]!)) return false
  one.dueAt = now + session.timeoutMs
  try {
    sendBlocks(one, session.acknowledged + 1, session.sent - session.acknowledged)
  } catch (error) {
    lose(one, error)
  }
  return true
}

function end(one: Running, outcome: Carried): void {
  forget(one)
  tell({ type: 'ended', id: one.id, outcome })
}

function forget(one: Running): void {
  running.delete(one.handle)
  handles.delete(one.id)
  libc.close(one.handle)
}

function look(): void {
  for (const one of running.values()) {
    if (now - one.startedAt > transferMsMax) end(one, 'timed out')
    else if (one.dueAt <= now) feed(one, { type: 'timeout' })
  }
}

let lookAt = 0
while (isOpen) {
  const isRung = waiter.wait(running.size === 0 ? IDLE_MS : LOOK_MS, receive)
  now = performance.now()
  // After the packets: a new socket may get the number of one that was closed in the same round.
  if (isRung) {
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
      for (const order of next.message as readonly Order[]) obey(order)
    }
  }
  if (now >= lookAt) {
    look()
    lookAt = now + LOOK_MS
  }
  if (reports.length > 0) {
    port.postMessage(reports)
    reports = []
  }
}
