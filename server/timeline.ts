// The timeline as it happens: what was written to the store is then told to those who listen (the page, slipway get
// -w). Leaves out how events are stored (store/events.ts) and how they reach a browser (http/routes/watch.ts).

import type { NewEvent, TimelineEvent } from './contract/event.ts'
import { addEvent, addEvents } from './store/events.ts'
import type { Db } from './store/schema.ts'

export interface Bus {
  readonly publish: (event: TimelineEvent) => void
  /** Returns the function that ends the subscription. */
  readonly subscribe: (listener: (event: TimelineEvent) => void) => () => void
}

export interface Recorder {
  readonly db: Db
  readonly now: () => Date
  readonly bus: Bus
}

export function createBus(): Bus {
  const listeners = new Set<(event: TimelineEvent) => void>()
  return {
    publish: event => {
      for (const listener of listeners) listener(event)
    },
    subscribe: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    }
  }
}

/** Writes one event, then tells it. */
export async function recordEvent({ db, now, bus }: Recorder, event: NewEvent): Promise<TimelineEvent> {
  const written = await addEvent(db, event, now())
  bus.publish(written)
  return written
}

/**
 * Does the work and writes its events in one transaction, all of them when the work is done: the work itself does not
 * find them in the store. They are told only once they are true, after the commit.
 */
export async function transact<T>(
  { db, now, bus }: Recorder,
  work: (db: Db, add: (event: NewEvent) => Promise<void>) => Promise<T>
): Promise<T> {
  const { result, written } = await db.transaction().execute(async transaction => {
    const events: NewEvent[] = []
    const result = await work(transaction, async event => void events.push(event))
    return { result, written: await addEvents(transaction, events, now()) }
  })
  for (const event of written) bus.publish(event)
  return result
}
