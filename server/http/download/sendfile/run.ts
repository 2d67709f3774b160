// The thread that sends files: the kernel copies from its page cache to the socket (sendfile(2)), so that neither bytes
// nor garbage pass through JavaScript. It waits in epoll as long as anything is under way, and in Node's own event loop
// when nothing is. Started by client.ts.

import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { EPOLLOUT, waiterOn } from '../../../native/epoll.ts'
import { errno, openLibc } from '../../../native/libc.ts'
import type { Ending, Order, SenderData } from './orders.ts'
import { afterCall, afterWait, begin, type Next, type Transfer, TURN_BYTES } from './turns.ts'

/** The longest wait: what rests is tried again then, and the end of the process waits no longer for this thread. */
const WAIT_MS = 200
/** ioctl_tty(2) TIOCOUTQ, for sockets tcp(7) SIOCOUTQ: what was sent and is not acknowledged yet. */
const SIOCOUTQ = 0x5411n

const { poll, pace } = workerData as SenderData
const libc = openLibc()
if (parentPort === null || libc === null) throw new Error('this is the thread that client.ts starts')
const { ioctl, sendfile } = libc
const port = parentPort
const waiter = waiterOn(libc, poll)

const transfers = new Map<number, Transfer>()
const resting = new Set<number>()
const offset = Buffer.alloc(8)
const queued = Buffer.alloc(4)

port.on('message', (order: Order) => {
  accept(order)
  while (transfers.size > 0) turn()
})

function accept(order: Order): void {
  const { id, socket } = order
  if (!waiter.add(socket, EPOLLOUT)) port.postMessage({ id, ending: 'failed' satisfies Ending })
  else transfers.set(socket, begin(order, performance.now()))
}

function turn(): void {
  waiter.wait(WAIT_MS, send)
  for (;;) {
    const more: { message: Order } | undefined = receiveMessageOnPort(port)
    if (more === undefined) break
    accept(more.message)
  }
  look()
}

function send(socket: number): void {
  const transfer = transfers.get(socket)
  if (transfer === undefined) return
  const { file, first, bytes } = transfer.order
  offset.writeBigInt64LE(BigInt(first + transfer.sent))
  const wanted = BigInt(Math.min(bytes - transfer.sent, TURN_BYTES))
  const result = Number(sendfile(socket, file, offset, wanted))
  proceed(transfer, afterCall(transfer, result, result < 0 ? errno() : 0))
}

let lookedAt = 0

/** Every WAIT_MS and not at every turn: who rests may try again, who is too slow has to go. */
function look(): void {
  const now = performance.now()
  if (now - lookedAt < WAIT_MS) return
  lookedAt = now
  for (const socket of resting) waiter.add(socket, EPOLLOUT)
  resting.clear()
  for (const transfer of transfers.values())
    proceed(
      transfer,
      afterWait(transfer, now, () => waiting(transfer), pace)
    )
}

function waiting({ order }: Transfer): number {
  return ioctl(order.socket, SIOCOUTQ, queued) === 0 ? queued.readInt32LE() : 0
}

function proceed({ order: { id, socket } }: Transfer, next: Next): void {
  if (typeof next === 'object') {
    transfers.set(socket, next)
    return
  }
  waiter.remove(socket)
  if (next === 'rest') {
    resting.add(socket)
    return
  }
  resting.delete(socket)
  transfers.delete(socket)
  port.postMessage({ id, ending: next })
}
