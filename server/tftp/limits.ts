// How often one address may ask, so that a forged one is not flooded in its name, and no machine keeps the others out.
//
// A bucket an address: a request that nobody has proven to have sent costs ten times one whose sender has answered, and
// is paid back when he does. Firmware that fetches fifty modules in a second is well below it.

export interface Limits {
  /** Whether this address may ask once more; takes the price of a request that is not proven. */
  readonly admit: (address: string) => boolean
  /** It has answered, or was only told that there is no such file: that costs little. */
  readonly refund: (address: string) => void
}

const PRICE = 1
const PRICE_UNPROVEN = 10
/** 64 requests without an answer at once, then 10 a second; 640 with an answer, then 100 a second. */
const ROOM = 640
const REFILL_A_SECOND = 100
/** A full bucket is one that nobody uses: it is dropped when there are so many. */
const ADDRESSES_MAX = 8192

export function createLimits(now: () => Date): Limits {
  const buckets = new Map<string, { left: number; at: number }>()

  function bucketOf(address: string): { left: number; at: number } {
    const at = now().getTime()
    const known = buckets.get(address)
    const passed = known === undefined ? 0 : Math.max(0, at - known.at) / 1000
    const left = known === undefined ? ROOM : Math.min(ROOM, known.left + passed * REFILL_A_SECOND)
    const bucket = { left, at }
    buckets.delete(address) // so that the map is in the order of last use
    buckets.set(address, bucket)
    if (buckets.size > ADDRESSES_MAX) buckets.delete(buckets.keys().next().value!)
    return bucket
  }

  return {
    admit(address) {
      const bucket = bucketOf(address)
      if (bucket.left < PRICE_UNPROVEN) return false
      bucket.left -= PRICE_UNPROVEN
      return true
    },
    refund(address) {
      const bucket = buckets.get(address)
      if (bucket !== undefined) bucket.left = Math.min(ROOM, bucket.left + PRICE_UNPROVEN - PRICE)
    }
  }
}
