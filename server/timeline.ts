// The timeline as it happens: what was written to the store is then told to those who listen (the page, slipway get
// -w). Leaves out how events are stored (store/events.ts) and how they reach a browser (http/routes/watch.ts).

import type { NewEvent, TimelineEvent } from './contract/event.ts'
import { addEvent, addEvents } from './store/events.ts'
import type { Db } from './store/schema.ts'

export interface Bus {
  readonly publish: (event: TimelineEvent) => void
  /** Returns the function that ends the subscription. */
  readonly subscribe: (listener: (event: TimelineEvent) => void) => () => void
  /** For who writes events a while after they happened: `flush` is waited for before others write theirs. */
  readonly precede: (flush: () => Promise<void>) => void
  readonly settle: () => Promise<void>
}

export interface Recorder {
  readonly db: Db
  readonly now: () => Date
  readonly bus: Bus
}

export function createBus(): Bus {
  const listeners = new Set<(event: TimelineEvent) => void>()
  const flushes: Array<() => Promise<void>> = []
  return {
    publish: event => {
      for (const listener of listeners) listener(event)
    },
    subscribe: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    precede: flush => void flushes.push(flush),
    settle: async () => void (await Promise.all(flushes.map(flush => flush())))
  }
}

/** Writes one event, then tells it. */
export async function recordEvent({ db, now, bus }: Recorder, event: NewEvent): Promise<TimelineEvent> {
  await bus.settle()
  const written = await addEvent(db, event, now())
  bus.publish(written)
  return written
}

type Work<T> = (db: Db, add: (event: NewEvent) => Promise<void>) => Promise<T>

/**
 * Does the work and writes its events in one transaction, all of them when the work is done: the work itself does not
 * find them in the store. They are told only once they are true, after the commit. What happened earlier comes first.
 */
export async function transact<T>(recorder: Recorder, work: Work<T>): Promise<T> {
  await recorder.bus.settle()
  return await transactNow(recorder, work)
}

/** For those whom others wait for: `precede`. */
export async function transactNow<T>({ db, now, bus }: Recorder, work: Work<T>): Promise<T> {
  const { result, written } = await db.transaction().execute(async transaction => {
    const events: NewEvent[] = []
    const result = await work(transaction, async event => void events.push(event))
    return { result, written: await addEvents(transaction, events, now()) }
  })
  for (const event of written) bus.publish(event)
  return result
}
