// What moves the packets of transfers once a request has been accepted, and how the two ways of doing that are spoken
// to: thread/ (a thread of its own, which needs node:ffi) and dgram/ (this one).

import type { Options } from './packet.ts'
import type { Outcome } from './session.ts'

export interface Errand {
  /** Ours, which the packets come from. */
  readonly address: string
  readonly peer: { readonly address: string; readonly port: number }
  readonly file: Buffer
  readonly options: Options
}

export type Carried = Outcome | 'client gone' | 'stopped'

export interface Carriage {
  /** Rejects when the system refuses a socket, or for a bug: this transfer is over, the others go on. */
  readonly ended: Promise<Carried>
  /** The client has asked once more, from the same port. */
  readonly repeat: () => void
  /** Ends it as `stopped`, if it has not ended yet. */
  readonly stop: () => void
}

export interface Carrier {
  /** `proven` is called once, when the client has answered: it is where it says. */
  readonly carry: (errand: Errand, proven: () => void) => Carriage
  readonly close: () => Promise<void>
}

/** A client that acknowledges just before each timeout may not keep a socket for days. */
export const transferMsMax = 10 * 60_000
