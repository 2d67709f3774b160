// What a machine was given earlier in the same boot, where the next answer depends on it. Kept in memory: after a
// restart the machine is answered as one that begins. Bounded, since anybody can send packets: strangers push the
// oldest out, which costs that machine no more than a restart would.

import type { BootFile, Chain, Firmware } from './firmware.ts'

export const noChain: Chain = { secure: false, laps: 0 }

export interface Chains {
  /** For an answer to the exchange `xid`. */
  readonly find: (mac: string, xid: number, now: Date) => Chain
  readonly note: (mac: string, xid: number, firmware: Firmware, boot: BootFile, now: Date) => void
}

interface Entry {
  secureUntil: number
  lapsUntil: number
  laps: number
  /** Of the last lap: offer and ACK are one. */
  xid: number
}

const CHAINS_MAX = 8192
/** From the first packet of HTTP boot to iPXE's own DHCP: a megabyte over a slow network lies between. */
const SECURE_MS = 10 * 60_000
/** A lap takes seconds; a machine that is switched on again takes longer and begins anew. */
const LAP_MS = 60_000

export function createChains(): Chains {
  const entries = new Map<string, Entry>()
  return {
    find: (mac, xid, now) => {
      const entry = entries.get(mac)
      if (entry === undefined) return noChain
      const laps = entry.lapsUntil < now.getTime() ? 0 : entry.laps - (entry.xid === xid ? 1 : 0)
      return { secure: entry.secureUntil >= now.getTime(), laps }
    },
    note: (mac, xid, firmware, boot, now) => {
      const secure = boot.by === 'http' && boot.file.startsWith('https:')
      const lap = firmware.kind === 'old-ipxe' && boot.by === 'tftp'
      if (!secure && !lap) return
      const known = entries.get(mac) ?? { secureUntil: 0, lapsUntil: 0, laps: 0, xid: -1 }
      entries.delete(mac)
      entries.set(mac, secure ? { ...known, secureUntil: now.getTime() + SECURE_MS } : nextLap(known, xid, now))
      for (const oldest of entries.keys()) {
        if (entries.size <= CHAINS_MAX) break
        entries.delete(oldest)
      }
    }
  }
}

function nextLap(known: Entry, xid: number, now: Date): Entry {
  const over = known.lapsUntil < now.getTime()
  const laps = over ? 1 : known.laps + (known.xid === xid ? 0 : 1)
  return { ...known, laps, xid, lapsUntil: now.getTime() + LAP_MS }
}
