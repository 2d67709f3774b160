// When strangers are too many for a pool (core/pressure.ts says when), a person is told: once as it begins and once as
// it ends, and for as long as it lasts in the notices. Pure.

import type { NewEvent } from '../../contract/event.ts'
import type { Notice } from '../../contract/network.ts'
import { isPressing } from '../../core/allocation.ts'
import { isFlood, strangersLately } from '../../core/pressure.ts'
import type { Subnet } from '../context.ts'

export interface Floods {
  readonly lasting: Map<Subnet, { readonly since: Date; refused: number }>
}

export function createFloods(): Floods {
  return { lasting: new Map() }
}

/** Whether this machine is one of a flood: nothing of it goes to the timeline, which has its one line. */
export function isOfFlood({ index }: Subnet, mac: string, now: Date): boolean {
  return isFlood(index.pressure, index.counts.open, now) && isPressing(index, mac, now)
}

/** Takes up that somebody asked for an address and whether he was refused; returns the event to tell, or null. */
export function watchFlood({ lasting }: Floods, subnet: Subnet, answered: boolean, now: Date): NewEvent | null {
  const flood = lasting.get(subnet)
  const { index, subnet: network } = subnet
  if (!isFlood(index.pressure, index.counts.open, now)) {
    if (flood === undefined) return null
    lasting.delete(subnet)
    const minutes = Math.ceil((now.getTime() - flood.since.getTime()) / 60_000)
    const message = `the flood of strangers on ${network} is over, after ${minutes} min and ${flood.refused} refusals`
    return { type: 'dhcp.flood', message, detail: { subnet: network, refused: flood.refused, minutes } }
  }
  if (flood !== undefined) {
    if (!answered) flood.refused += 1
    return null
  }
  lasting.set(subnet, { since: now, refused: answered ? 0 : 1 })
  const { held, known } = index.piles
  const detail = { subnet: network, addresses: index.counts.open, known: known.size, heldByStrangers: held.stranger }
  const message = sentence(subnet, now)
  return { type: 'dhcp.flood', level: 'warning', message, detail: { ...detail, strangers: lately(subnet, now) } }
}

export function floodNotices({ lasting }: Floods, now: Date): Notice[] {
  return [...lasting]
    .filter(([{ index }]) => isFlood(index.pressure, index.counts.open, now))
    .map(([subnet, { since }]) => ({
      about: 'flood',
      level: 'warning',
      message: sentence(subnet, now),
      since: since.toISOString()
    }))
}

function sentence(subnet: Subnet, now: Date): string {
  const { counts, piles } = subnet.index
  const many = `${lately(subnet, now)} or more unknown machines asked for addresses of ${subnet.subnet} within a minute`
  const share = `they hold ${piles.held.stranger} of ${counts.open}`
  return `${many}, ${share}; known machines keep theirs. Find the switch port, or approve the new rack`
}

function lately({ index }: Subnet, now: Date): number {
  return strangersLately(index.pressure, now)
}
