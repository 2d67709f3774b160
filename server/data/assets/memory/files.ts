// Whole files in memory, for TFTP, which sends the same bytes again and again: one copy for all who load a file at the
// same time, and none when the last of them has it.

import { open } from 'node:fs/promises'

/** A kernel of 15 MB and an initrd of 200 MB are the largest that installers have; TFTP would take minutes for more. */
const BYTES_MAX = 512 * 1024 * 1024

interface Copy {
  readonly stamp: string
  readonly bytes: WeakRef<Buffer>
}

/** Reads a file by its path; null for what is no file, or too large. Throws what the disk says. */
export function openMemory(): (path: string) => Promise<Buffer | null> {
  const copies = new Map<string, Copy>()
  const reading = new Map<string, Promise<Buffer | null>>()
  const gone = new FinalizationRegistry<{ path: string; stamp: string }>(({ path, stamp }) => {
    if (copies.get(path)?.stamp === stamp) copies.delete(path)
  })
  const read = async (path: string): Promise<Buffer | null> => {
    await using file = await open(path, 'r')
    const found = await file.stat()
    if (!found.isFile() || found.size > BYTES_MAX) return null
    const stamp = `${found.size} ${found.mtimeMs} ${found.ino}`
    const known = copies.get(path)
    const kept = known?.stamp === stamp ? known.bytes.deref() : undefined
    if (kept !== undefined) return kept
    const bytes = await file.readFile()
    copies.set(path, { stamp, bytes: new WeakRef(bytes) })
    gone.register(bytes, { path, stamp })
    return bytes
  }
  return path => {
    const work = reading.get(path) ?? read(path).finally(() => reading.delete(path))
    reading.set(path, work)
    return work
  }
}
