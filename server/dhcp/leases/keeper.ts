// Leases through changes of the clock: taken up when the server starts, moved along when somebody sets the time of day
// (clock.ts). The store's times must follow the index: it refuses an address that by its times is still another's.

import type { Lease } from '../../core/allocation.ts'
import { shift } from '../../core/lease-index.ts'
import type { Log } from '../../log.ts'
import { recount } from './clock.ts'
import type { Subnet } from '../context.ts'

export interface LeaseStore {
  readonly list: () => Promise<readonly Lease[]>
  /** Resolves when the lease would survive what the operator wants it to: a power cut, or the end of this process. */
  readonly save: (lease: Lease) => Promise<void>
  /** Moves the times of all leases by so many milliseconds. */
  readonly shift?: (ms: number) => Promise<void>
}

export interface Keeper {
  /** What the store has, as it counts now. */
  readonly open: (now: Date) => Promise<readonly Lease[]>
  readonly save: (lease: Lease) => Promise<void>
  /** Moves everything; what is saved from now on waits until that is done. */
  readonly jump: (subnets: readonly Subnet[], ms: number) => void
  /** Resolves when the store has followed. */
  readonly idle: () => Promise<void>
}

export function createKeeper(store: LeaseStore, log: Log): Keeper {
  const saving = new Set<Promise<void>>()
  let moving: Promise<void> | null = null
  function save(lease: Lease): Promise<void> {
    const work: Promise<void> = (moving === null ? store.save(lease) : moving.then(() => store.save(lease))).finally(
      () => saving.delete(work)
    )
    saving.add(work)
    return work
  }
  async function move(earlier: readonly Promise<unknown>[], ms: number): Promise<void> {
    await Promise.allSettled(earlier)
    try {
      await store.shift?.(ms)
    } catch (error) {
      log.error('dhcp.clock-failed', { error })
    }
  }
  return {
    async open(now) {
      const stored = await store.list()
      const counted = stored.map(lease => recount(lease, now))
      const changed = counted.filter((lease, i) => lease !== stored[i])
      if (changed.length === 0) return stored
      log.warn('dhcp.leases-from-the-future', { count: changed.length, effect: 'each lasts its whole time once more' })
      await Promise.all(changed.map(save))
      return counted
    },
    save,
    idle: async () => void (await moving),
    jump(subnets, ms) {
      log.warn('dhcp.clock-jumped', { seconds: Math.round(ms / 1000), effect: 'all leases are moved along' })
      for (const { index } of subnets) shift(index, ms)
      const mine: Promise<void> = move([...saving, ...(moving === null ? [] : [moving])], ms).then(() => {
        if (moving === mine) moving = null
      })
      moving = mine
    }
  }
}
