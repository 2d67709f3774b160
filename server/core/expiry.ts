// What expires next: a binary heap of (time, address). Entries are never searched for: one whose time is no longer the
// address's own is stale and is dropped when it comes to the top. The cost of each call is logarithmic.

export interface Expiry {
  readonly at: number
  readonly address: number
}

export function push(heap: Expiry[], entry: Expiry): void {
  heap.push(entry)
  let child = heap.length - 1
  while (child > 0) {
    const parent = (child - 1) >>> 1
    if (heap[parent]!.at <= heap[child]!.at) return
    swap(heap, parent, child)
    child = parent
  }
}

export function pop(heap: Expiry[]): void {
  const last = heap.pop()
  if (last === undefined || heap.length === 0) return
  heap[0] = last
  let parent = 0
  for (;;) {
    const left = parent * 2 + 1
    const right = left + 1
    let least = parent
    if (left < heap.length && heap[left]!.at < heap[least]!.at) least = left
    if (right < heap.length && heap[right]!.at < heap[least]!.at) least = right
    if (least === parent) return
    swap(heap, parent, least)
    parent = least
  }
}

function swap(heap: Expiry[], a: number, b: number): void {
  const entry = heap[a]!
  heap[a] = heap[b]!
  heap[b] = entry
}
