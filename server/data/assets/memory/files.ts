// Files kept in memory to be sent again and again by TFTP: each once, however many fetch it, as long as it does not
// change on disk. In shared memory, so that a thread is lent them. Which file a name means is for whoever asks.

import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { statFile } from '../../digest/files.ts'

export interface Limits {
  /** A larger file is not read: it goes by HTTP. */
  readonly fileBytesMax: number
  /** What is kept at most; who was asked for longest ago goes first. Whoever still sends it keeps it until the end. */
  readonly bytesMax: number
}

/** An installer's kernel and initial RAM disk, which GRUB loads by TFTP where it has no HTTP, and a few more. */
export const memoryLimits: Limits = { fileBytesMax: 256 * 1024 * 1024, bytesMax: 384 * 1024 * 1024 }

interface Kept {
  readonly stamp: string
  readonly size: number
  readonly bytes: Promise<Buffer>
}

/** The bytes of a regular file; null when there is none, or it is too large. Rejects when it cannot be read. */
export type ReadFile = (path: string) => Promise<Buffer | null>

export function openMemory({ fileBytesMax, bytesMax }: Limits = memoryLimits): ReadFile {
  /** In the order in which they were last asked for. */
  const kept = new Map<string, Kept>()
  let total = 0
  let last: Promise<unknown> = Promise.resolve()

  function forget(path: string): void {
    total -= kept.get(path)?.size ?? 0
    kept.delete(path)
  }

  function keep(path: string, stamp: string, size: number): Kept {
    forget(path)
    for (const oldest of kept.keys()) if (total + size > bytesMax) forget(oldest)
    // One after the other: what is being read is in memory beside what is kept.
    const bytes = last.then(() => load(path, size))
    last = bytes.catch(() => kept.get(path)?.bytes === bytes && forget(path)) // told to whoever waits for it
    total += size
    return { stamp, size, bytes }
  }

  return async path => {
    const found = await statFile(path)
    if (found === null || found.size > fileBytesMax) return null
    const stamp = `${found.size} ${found.mtimeMs} ${found.ino}`
    const known = kept.get(path)
    const one = known?.stamp === stamp ? known : keep(path, stamp, found.size)
    kept.delete(path)
    kept.set(path, one)
    return one.bytes
  }
}

/** Where a path below /assets/ is on disk; null when there is no such file. Throws a Fault when it may not be given. */
export type Locate = (path: string) => Promise<{ readonly folder: string; readonly name: string } | null>

/** The bytes of what a path below /assets/ means over HTTP. */
export function openKept(locate: Locate, readFile: ReadFile): (path: string) => Promise<Buffer | null> {
  return async path => {
    const found = await locate(path)
    return found === null ? null : await readFile(join(found.folder, found.name))
  }
}

async function load(path: string, size: number): Promise<Buffer> {
  // Without waiting for a writer, should it have become a pipe since it was looked at.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const bytes = Buffer.from(new SharedArrayBuffer(size))
    let at = 0
    while (at < size) {
      const { bytesRead } = await file.read(bytes, at, size - at, at)
      if (bytesRead === 0) break // it became shorter: the next one who asks gets the whole
      at += bytesRead
    }
    return bytes.subarray(0, at)
  } finally {
    await file.close()
  }
}
