// What the main thread and the thread that sends files say to each other. Every descriptor is the main thread's: it
// opens and closes them, also when the other thread has died.

import type { Poll } from '../../../native/epoll.ts'
import type { Pace } from '../pace.ts'

export interface SenderData {
  readonly poll: Poll
  readonly pace: Pace
}

export interface Order {
  readonly id: number
  readonly socket: number
  readonly file: number
  readonly first: number
  readonly bytes: number
}

/** gone: the connection broke; slow: pace.ts; short: the file has shrunk; failed: it could not be read. */
export type Ending = 'sent' | 'gone' | 'slow' | 'short' | 'failed'

export interface Report {
  readonly id: number
  readonly ending: Ending
}
