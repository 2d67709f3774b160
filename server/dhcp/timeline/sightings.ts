// At which switch port each hardware address was seen last. Only what is new is passed on: a machine that boots ten
// times a day at its port is written once.

import type { Origin } from '../codec/relay.ts'

export interface Sighting {
  readonly mac: string
  readonly switch: string
  readonly port: string
  /** Address of the relay. */
  readonly relay: string
}

/** More than any rack row has; beyond it the oldest are forgotten, and written again when they are seen. */
const SIGHTINGS_MAX = 50_000

/** `save` resolves when it would survive a power cut. */
export function createSightings(
  save: (sighting: Sighting) => Promise<void>
): (mac: string, origin: Origin) => Promise<void> {
  const seen = new Map<string, string>()
  return async (mac, { port, relay }) => {
    if (port === null || relay === null) return
    const where = JSON.stringify([port.switch, port.port, relay])
    if (seen.get(mac) === where) return
    await save({ mac, ...port, relay })
    seen.delete(mac)
    seen.set(mac, where)
    if (seen.size > SIGHTINGS_MAX) seen.delete(seen.keys().next().value!)
  }
}
