// Starts the thread of transfers and speaks to it. A file whose bytes are in a SharedArrayBuffer is lent to it, any
// other is copied.

import { Worker } from 'node:worker_threads'
import { closePoll, openPoll, type Poll, ring } from '../../native/epoll.ts'
import type { Carriage, Carried, Carrier, Errand } from '../carrier.ts'
import { openDgramCarrier } from '../dgram/run.ts'
import type { Order, Report } from './messages.ts'

interface Waiting {
  readonly proven: () => void
  readonly resolve: (outcome: Carried) => void
  readonly reject: (error: Error) => void
}

/**
 * The faster way where this Node and this system have it, else the plain one. When the thread dies of a bug, `failed`
 * is told and the plain way goes on.
 */
export function openCarrier(failed: (error: unknown) => void): Carrier {
  const poll = openPoll()
  return poll === null ? openDgramCarrier() : openThread(poll, failed)
}

function openThread(poll: Poll, failed: (error: unknown) => void): Carrier {
  const worker = new Worker(new URL('./main.ts', import.meta.url), { workerData: poll })
  const waiting = new Map<number, Waiting>()
  let plain: Carrier | null = null
  let isOver = false
  let count = 0
  const exited = new Promise<void>(resolve => worker.once('exit', () => resolve()))
  worker.on('message', (reports: readonly Report[]) => reports.forEach(hear))
  const hear = (report: Report): void => {
    const asked = waiting.get(report.id)
    if (report.type === 'proven') return asked?.proven()
    waiting.delete(report.id)
    if (waiting.size === 0) worker.unref()
    if (report.type === 'ended') asked?.resolve(report.outcome)
    else asked?.reject(new Error(report.message))
  }
  worker.on('error', error => {
    plain = openDgramCarrier()
    failed(error)
    for (const { reject } of waiting.values()) reject(new Error('the thread of transfers has ended'))
    waiting.clear()
  })
  worker.unref() // it keeps no program alive that has nothing else to do: only its transfers do

  /** Of this turn of the event loop: a rack asks at once, and each message wakes the other thread. */
  let orders: Order[] = []
  function order(what: Order): void {
    if (orders.length === 0) setImmediate(send)
    orders.push(what)
  }
  function send(): void {
    if (isOver) return
    worker.postMessage(orders, [])
    orders = []
    ring(poll)
  }

  function carry(errand: Errand, proven: () => void): Carriage {
    if (plain !== null) return plain.carry(errand, proven)
    const id = ++count
    const { promise, resolve, reject } = Promise.withResolvers<Carried>()
    waiting.set(id, { proven, resolve, reject })
    worker.ref()
    order({ type: 'carry', id, errand })
    return { ended: promise, repeat: () => order({ type: 'repeat', id }), stop: () => order({ type: 'stop', id }) }
  }

  async function close(): Promise<void> {
    worker.ref()
    order({ type: 'close' })
    await exited
    isOver = true
    closePoll(poll)
  }
  return { carry, close }
}
