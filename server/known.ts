// Keeps DHCP told which machines are known: those that were let in, and those that an operator has described. It reads
// the store again after what may change that, at most once a second, however large the rack.

import { parseMac } from './contract/net.ts'
import type { Log } from './log.ts'
import { listDocuments } from './store/documents.ts'
import { listKnownMacs } from './store/known-machines.ts'
import type { Recorder } from './timeline.ts'

export type Know = (machines: readonly (readonly string[])[]) => void

const REST_MS = 1000

/** Reads once, then follows the timeline. `again` is for what is no event: documents. */
export async function keepKnown(
  { db, bus }: Recorder,
  know: Know,
  log: Log,
  opened: AsyncDisposableStack
): Promise<{ readonly again: () => void }> {
  let reading: Promise<void> | null = null
  let wanted = false
  let timer: NodeJS.Timeout | null = null
  async function read(): Promise<void> {
    const documents = await listDocuments(db, 'Machine')
    // Those that are described by something else are strangers until they are let in.
    const described = documents.flatMap(({ spec: { macs } }) =>
      macs === undefined ? [] : [macs.map(text => parseMac(text)!)]
    )
    know([...(await listKnownMacs(db)), ...described])
  }
  function again(): void {
    wanted = true
    if (timer !== null || reading !== null) return
    wanted = false
    reading = read()
      .catch((error: unknown) => log.error('dhcp.known-failed', { error }))
      .finally(() => {
        reading = null
        timer = setTimeout(() => {
          timer = null
          if (wanted) again()
        }, REST_MS)
      })
  }
  const end = bus.subscribe(({ type }) => {
    if (type.startsWith('machine.') && type !== 'machine.discovered' && type !== 'machine.matched') again()
  })
  opened.defer(async () => {
    end()
    wanted = false
    await reading
    if (timer !== null) clearTimeout(timer)
  })
  await read()
  return { again }
}
