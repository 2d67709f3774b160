// One transfer's turns: what to do after each call of sendfile(2). Pure; the calls are run.ts.

import { isDue, judge, type Mark, type Pace } from '../pace.ts'
import type { Ending, Order } from './orders.ts'

/**
 * Not more at once, so that all readers go forward together. It is what a socket's buffer holds at most (tcp_wmem):
 * with 1 MiB, sixteen readers cost a third more CPU time a byte, since each burst wakes its reader anew.
 */
export const TURN_BYTES = 4 * 1024 * 1024

const EINTR = 4
const EAGAIN = 11
const EPIPE = 32
const ECONNRESET = 104
const ETIMEDOUT = 110
const EHOSTUNREACH = 113
const gone = new Set([EPIPE, ECONNRESET, ETIMEDOUT, EHOSTUNREACH])

export interface Transfer {
  readonly order: Order
  readonly sent: number
  readonly mark: Mark
}

export function begin(order: Order, nowMs: number): Transfer {
  return { order, sent: 0, mark: { atMs: nowMs, taken: 0 } }
}

/** on: wait for the socket; rest: it said that it was ready and took nothing, so do not ask again at once. */
export type Next = Transfer | 'rest' | Ending

/** After a call that returned `result`, with errno when that is -1. */
export function afterCall(transfer: Transfer, result: number, errno: number): Next {
  if (result > 0) {
    const sent = transfer.sent + result
    return sent === transfer.order.bytes ? 'sent' : { ...transfer, sent }
  }
  if (result === 0) return 'short'
  if (errno === EINTR) return transfer
  // Memory for sockets is short (tcp(7), tcp_mem): epoll goes on saying that it is ready.
  if (errno === EAGAIN) return 'rest'
  return gone.has(errno) ? 'gone' : 'failed'
}

/** Judged by what has been acknowledged: the kernel may hold four megabytes that nobody reads. */
export function afterWait(transfer: Transfer, nowMs: number, unacknowledged: () => number, pace: Pace): Next {
  if (!isDue(transfer.mark, nowMs, pace)) return transfer
  const mark = judge(transfer.mark, nowMs, transfer.sent - unacknowledged(), pace)
  return mark === null ? 'slow' : { ...transfer, mark }
}
