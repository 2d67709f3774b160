// One file, opened once: its facts and its bytes are of the same file, whatever happens to the name meanwhile.

import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { FileFacts } from './plan.ts'

export interface OpenFile {
  readonly facts: FileFacts
  readonly handle: FileHandle
}

/** Null when it went away since it was located, or is no plain file any more. */
export async function openFile(path: string): Promise<OpenFile | null> {
  const handle = await openIfThere(path)
  if (handle === null) return null
  const found = await handle.stat({ bigint: true })
  if (!found.isFile()) {
    await handle.close()
    return null
  }
  const facts = { bytes: Number(found.size), modifiedMs: Number(found.mtimeMs), changedNs: found.ctimeNs }
  return { facts, handle }
}

async function openIfThere(path: string): Promise<FileHandle | null> {
  try {
    // Not by a link, which was followed when the file was located; a pipe in its place would be waited for.
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ELOOP' || code === 'ENOTDIR' || code === 'ENXIO') return null
    throw error
  }
}
