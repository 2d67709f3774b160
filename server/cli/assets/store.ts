// Puts files into the data folder: each is copied beside its place, is on the disk with its digest known before it
// takes the place of what was there, and is then recorded. Killed anywhere, there is never half a file; at worst one
// that is not served until the import is repeated.

import { createHash, randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { readManifest, writeManifest } from '../../data/assets/files.ts'
import type { Entry } from '../../data/assets/manifest.ts'
import { type DigestOf, openDigests } from '../../data/digest/files.ts'
import { Failure } from '../failure.ts'
import type { Identity } from './owner.ts'
import type { Progress } from './progress.ts'

/** A file to be taken. */
export interface Item {
  /** Below the data folder: boot/ipxe.efi. */
  readonly path: string
  /** Where its bytes are now. */
  readonly source: string
  /** For the record. */
  readonly from: string
  /** What the operator says it is; null when nothing was said. */
  readonly sha256: string | null
}

export interface Imported {
  readonly path: string
  readonly result: 'imported' | 'replaced' | 'unchanged'
  readonly size: number
  readonly sha256: string
}

export interface StoreDeps {
  readonly data: string
  readonly who: Identity
  readonly now: () => Date
  readonly progressOf: (path: string) => Progress
}

interface Staged extends Imported {
  readonly item: Item
  readonly partial: string
  readonly modifiedMs: number
}

/** Names of what is not finished; no path that machines may ask for begins so. */
export const PARTIAL = '.importing-'
const COPY_BYTES = 1024 * 1024

/**
 * All or nothing, as far as a disk allows: nothing takes its place before all of it is on the disk. The caller holds
 * the lock of the record.
 */
export async function store(items: readonly Item[], deps: StoreDeps): Promise<readonly Imported[]> {
  const { data, who } = deps
  const staged: Staged[] = []
  try {
    const digestOf = openDigests()
    const folders = new Set(items.map(({ path }) => join(data, dirname(path))))
    await who.asOwner(async () => {
      for (const folder of folders) {
        await mkdir(folder, { recursive: true, mode: 0o755 })
        await removeLeftovers(folder)
      }
    })
    for (const item of items) staged.push(await stage(item, digestOf, deps))
    await who.asOwner(() => take(staged, deps))
    return staged.map(({ path, result, size, sha256 }) => ({ path, result, size, sha256 }))
  } catch (error) {
    throw fullDisk(error, data)
  } finally {
    await who.asOwner(async () => {
      for (const { partial } of staged) await rm(partial, { force: true })
    })
  }
}

/** What an import that was killed has left there; the caller holds the lock, so none is at work. */
export async function removeLeftovers(folder: string): Promise<void> {
  const left = (await readdir(folder)).filter(name => name.startsWith(PARTIAL))
  for (const name of left) await rm(join(folder, name), { recursive: true, force: true })
}

async function stage(item: Item, digestOf: DigestOf, { data, who, progressOf }: StoreDeps): Promise<Staged> {
  const place = join(data, item.path)
  const partial = join(dirname(place), `${PARTIAL}${randomBytes(8).toString('hex')}`)
  // Without waiting for the other end of a pipe, and never a device: fstat says what it is.
  const source = await open(item.source, constants.O_RDONLY | constants.O_NONBLOCK)
  const progress = progressOf(item.path)
  try {
    const { size } = await requireFile(source, item)
    const copied = await who.asOwner(() => copy(source, partial, size, progress))
    if (item.sha256 !== null && item.sha256 !== copied.sha256) {
      await who.asOwner(() => rm(partial, { force: true }))
      throw new Failure(`${item.from} has the SHA-256 ${copied.sha256}, not ${item.sha256}: nothing was imported`)
    }
    const before = await who.asOwner(() => digestOf(place))
    const same = before?.sha256 === copied.sha256
    const result = before === null ? 'imported' : same ? 'unchanged' : 'replaced'
    return { ...copied, path: item.path, item, partial, result, ...(same && { modifiedMs: before.mtimeMs }) }
  } finally {
    progress.done()
    await source.close()
  }
}

async function requireFile(source: FileHandle, { from }: Item): Promise<{ size: number }> {
  const found = await source.stat()
  if (!found.isFile()) throw new Failure(`${from} is no regular file`)
  return found
}

async function copy(source: FileHandle, partial: string, total: number, progress: Progress) {
  const file = await open(
    partial,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    0o644
  )
  try {
    const hash = createHash('sha256')
    const buffer = Buffer.allocUnsafe(COPY_BYTES)
    let size = 0
    for (;;) {
      const { bytesRead } = await source.read(buffer, 0, COPY_BYTES, size)
      if (bytesRead === 0) break
      const bytes = buffer.subarray(0, bytesRead)
      hash.update(bytes)
      await file.writeFile(bytes) // all of it: a write alone may end early, as on a disk that fills up
      size += bytesRead
      progress.at(size, total)
    }
    await file.chmod(0o644) // whatever the umask is: another program may serve the folder too
    await file.sync()
    return { size, sha256: hash.digest('hex'), modifiedMs: (await file.stat()).mtimeMs }
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  } finally {
    await file.close()
  }
}

async function take(staged: readonly Staged[], { data, now }: StoreDeps): Promise<void> {
  const manifest = new Map(await readManifest(data))
  const at = now().toISOString()
  for (const { path, partial, result, size, sha256, modifiedMs, item } of staged) {
    if (result !== 'unchanged') await rename(partial, join(data, path))
    const known = manifest.get(path)
    const entry: Entry = { sha256, size, modifiedMs, at, from: item.from }
    manifest.set(path, result === 'unchanged' && known?.sha256 === sha256 ? { ...known, modifiedMs } : entry)
  }
  for (const folder of new Set(staged.map(({ path }) => join(data, dirname(path))))) await syncFolder(folder)
  await writeManifest(data, manifest)
  await syncFolder(data)
}

/** So that the new names are on the disk as well. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

function fullDisk(error: unknown, data: string): unknown {
  const { code } = error as NodeJS.ErrnoException
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error
  const remedy = 'free some space and try again; nothing was changed'
  return new Failure(`the disk of ${data} is full: ${remedy}`, 1, { cause: error })
}
