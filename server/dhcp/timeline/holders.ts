// Who has which address where another server leases: what machines' REQUESTs said. Claims, used for nothing but whose
// timeline a transfer is told on.

import type { NewEvent } from '../../contract/event.ts'

/** Far more than boot at one time: the oldest go. */
const HOLDERS_MAX = 10_000

export interface Holders {
  /** From an event of type dhcp.request. */
  readonly learn: (event: NewEvent) => void
  /** The MAC; undefined when nobody is known to have it. */
  readonly of: (address: string) => string | undefined
}

export function createHolders(): Holders {
  const macs = new Map<string, string>()
  return {
    learn({ mac, detail }) {
      const address = detail?.['address']
      if (typeof address !== 'string' || typeof mac !== 'string') return
      macs.delete(address) // a Map keeps the order of insertion: it is the newest now
      macs.set(address, mac)
      if (macs.size > HOLDERS_MAX) macs.delete(macs.keys().next().value!)
    },
    of: address => macs.get(address)
  }
}
