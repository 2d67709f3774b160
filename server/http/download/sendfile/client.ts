// The main thread's side of sendfile: hands over sockets and files, and is told how it ended. All descriptors are
// opened and closed here, so that a thread that dies leaves nothing behind. Which responses go this way is ../serve.ts.

import type { Socket } from 'node:net'
import { Worker } from 'node:worker_threads'
import { closePoll, openPoll, ring } from '../../../native/epoll.ts'
import { int32, type Libc, openLibc, SOL_SOCKET } from '../../../native/libc.ts'
import type { Log } from '../../../log.ts'
import { type Pace, slowestPace } from '../pace.ts'
import type { Ending, Order, Report, SenderData } from './orders.ts'

export interface Sender {
  /** Sends that part of the file, and leaves the socket open; null when it cannot be done this way. */
  readonly send: (socket: Socket, file: number, first: number, bytes: number) => Sending | null
  /** Transfers under way. */
  readonly active: () => number
  readonly close: () => Promise<void>
}

export interface Sending {
  readonly ended: Promise<Ending>
  /** Cuts the connection; `ended` then comes soon. */
  readonly abort: () => void
}

const F_DUPFD_CLOEXEC = 1030
const SHUT_RDWR = 2
const SO_LINGER = 13
/** socket(7) struct linger { on, 0 s }: the last close resets, and the kernel gives up what it holds for the reader. */
const lingerNot = Buffer.concat([int32(1), int32(0)])
/** A thread that dies has met a bug. It is started anew a few times, then files go through JavaScript. */
const DEATHS_MAX = 3

interface Handed {
  readonly socket: number
  readonly over: (ending: Ending) => void
}

interface Thread {
  readonly order: (order: Order) => void
  readonly end: () => Promise<void>
}

/** Null without node:ffi. */
export function openSender(log: Log, pace: Pace = slowestPace): Sender | null {
  const libc = openLibc()
  if (libc === null) return null
  const handed = new Map<number, Handed>()
  let count = 0
  let deaths = 0
  let thread: Thread | null = null
  let closed = false

  function finish({ id, ending }: Report): void {
    const one = handed.get(id)
    handed.delete(id)
    if (one === undefined) return
    if (ending !== 'sent') libc?.setsockopt(one.socket, SOL_SOCKET, SO_LINGER, lingerNot, lingerNot.length)
    libc?.close(one.socket)
    one.over(ending)
  }

  function died(): void {
    thread = null
    deaths += 1
    for (const id of handed.keys()) finish({ id, ending: 'failed' })
  }

  function send(socket: Socket, file: number, first: number, bytes: number): Sending | null {
    if (closed || deaths > DEATHS_MAX || libc === null) return null
    thread ??= startThread(log, pace, finish, died)
    const duplicate = thread === null ? null : duplicateOf(libc, socket)
    if (thread === null || duplicate === null) return null
    const id = ++count
    const ended = new Promise<Ending>(over => handed.set(id, { socket: duplicate, over }))
    thread.order({ id, socket: duplicate, file, first, bytes })
    // The thread learns of it from the socket itself: one way to end for all.
    return { ended, abort: () => void (handed.has(id) && libc.shutdown(duplicate, SHUT_RDWR)) }
  }

  thread = startThread(log, pace, finish, died)
  return {
    send,
    active: () => handed.size,
    async close() {
      closed = true
      for (const { socket } of handed.values()) libc.shutdown(socket, SHUT_RDWR)
      await thread?.end()
    }
  }
}

function startThread(log: Log, pace: Pace, finish: (report: Report) => void, died: () => void): Thread | null {
  const poll = openPoll()
  if (poll === null) return null
  const workerData: SenderData = { poll, pace }
  const worker = new Worker(new URL('run.ts', import.meta.url), {
    name: 'sendfile',
    workerData,
    // None of the process's own flags and variables; they are not for it.
    execArgv: ['--disable-warning=ExperimentalWarning'],
    env: {}
  })
  worker.unref()
  worker.on('message', finish)
  worker.on('error', (error: Error) => log.error('bug', { thread: 'sendfile', error: error.stack ?? String(error) }))
  worker.once('exit', () => {
    closePoll(poll)
    died()
  })
  return {
    order(order) {
      worker.postMessage(order, [])
      ring(poll)
    },
    async end() {
      await worker.terminate()
    }
  }
}

/**
 * A descriptor of our own: Node's may be closed at any moment, and its number given to somebody else's connection. Node
 * has no public name for it (`_handle.fd`), and none at all for TLS: then null, and the file goes through JavaScript.
 */
function duplicateOf(libc: Libc, socket: Socket): number | null {
  const { _handle: handle } = socket as { _handle?: { fd?: unknown } | null }
  if (typeof handle?.fd !== 'number' || handle.fd < 0 || 'encrypted' in socket) return null
  const duplicate = Number(libc.fcntl(handle.fd, F_DUPFD_CLOEXEC, 0))
  return duplicate < 0 ? null : duplicate
}
