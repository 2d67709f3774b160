// One file, opened once: its facts and its bytes are of the same file, whatever happens to the name meanwhile; and it
// is the very file that was vouched for.

import { type BigIntStats, constants } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault } from '../../core/fault.ts'
import type { Served } from '../files.ts'
import type { FileFacts } from './plan.ts'

export interface OpenFile {
  readonly name: string
  readonly facts: FileFacts
  readonly handle: FileHandle
}

/** Says where the file is, and vouches for its bytes (the digest of what was imported); null when there is none. */
export type Locate = () => Promise<Served | null>

const TRIES = 3

/** Null when there is no such file. Faults of `locate` pass; unavailable when the file is replaced again and again. */
export async function openFile(locate: Locate): Promise<OpenFile | null> {
  for (let tries = 0; tries < TRIES; tries++) {
    const served = await locate()
    if (served === null) return null
    const path = join(served.folder, served.name)
    const handle = await openIfThere(path)
    if (handle === null) continue
    const found = await vouchedFor(handle, path, locate)
    if (found !== null) return { name: served.name, handle, facts: factsOf(found) }
  }
  throw new Fault('unavailable', 'the file is being replaced: ask again')
}

/** Asks once more, now that it is open: a file that is still there, in that state, was vouched for. Else closes it. */
async function vouchedFor(handle: FileHandle, path: string, locate: Locate): Promise<BigIntStats | null> {
  let kept = false
  try {
    const found = await handle.stat({ bigint: true })
    const again = await locate()
    const now = again === null ? null : await absent(stat(path, { bigint: true }))
    kept = now !== null && found.isFile() && now.ino === found.ino && now.ctimeNs === found.ctimeNs
    return kept ? found : null
  } finally {
    if (!kept) await handle.close()
  }
}

function factsOf({ size, mtimeMs, ctimeNs }: BigIntStats): FileFacts {
  return { bytes: Number(size), modifiedMs: Number(mtimeMs), changedNs: ctimeNs }
}

/** Not by a link, which was followed when the file was located; a pipe in its place would be waited for. */
async function openIfThere(path: string): Promise<FileHandle | null> {
  return absent(open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK))
}

async function absent<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ELOOP' || code === 'ENOTDIR' || code === 'ENXIO') return null
    throw error
  }
}
