// What an operator must hear of, whatever the number of packets that say it: a pool that has no address left, once a
// minute; a relay whose network nobody configured, or a machine that two documents are about, once. On the timeline of
// a boot client the first two stand in any case.

import type { NewEvent } from '../../contract/event.ts'
import type { Log } from '../../log.ts'

export interface Alarm {
  readonly kind: 'exhausted' | 'no-subnet' | 'two-documents'
  /** Which pool, which network, which machine. */
  readonly about: string
}

interface World {
  readonly now: () => Date
  readonly log: Log
  readonly told: (event: NewEvent) => void
}

const AGAIN_MS: Readonly<Record<Alarm['kind'], number>> = {
  exhausted: 60_000,
  'no-subnet': Infinity,
  'two-documents': Infinity
}
/** Relays can be forged: beyond so many nobody reads on. */
const ALARMS_MAX = 256

/** One for all listeners. `raise` tells it unless it was told just now. */
export function createAlarms({ now, log, told }: World): (alarm: Alarm, reason: string) => void {
  const raised = new Map<string, number>()
  return ({ kind, about }, reason) => {
    const key = `${kind} ${about}`
    const at = now().getTime()
    const last = raised.get(key)
    // A clock that was set back must not silence it.
    if (last !== undefined && Math.abs(at - last) < AGAIN_MS[kind]) return
    if (last === undefined && raised.size >= ALARMS_MAX) return
    raised.set(key, at)
    log.warn(`dhcp.${kind}`, { about, reason })
    if (kind === 'exhausted') told({ type: 'dhcp.exhausted', level: 'warning', message: reason, detail: { about } })
  }
}
