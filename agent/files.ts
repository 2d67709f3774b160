// Every file the agent touches, below its root. Writes are durable: content, then name, then folder reach the disk
// before the call returns, since the journal promises what comes next.

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, readFile, readlink, rename, rm, stat, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'

export interface Expected {
  readonly size: number
  readonly sha256: string
}

export interface Files {
  /** Where `path` lies on the real file system: for programs that are started with it. */
  readonly real: (path: string) => string
  /** Null when there is none. */
  readonly read: (path: string) => Promise<string | null>
  readonly write: (path: string, text: string, mode: number) => Promise<void>
  readonly append: (path: string, text: string) => Promise<void>
  /** Absent is fine. */
  readonly remove: (path: string) => Promise<void>
  readonly readLink: (path: string) => Promise<string | null>
  /** Puts a symbolic link in place of whatever link was there, in one step. */
  readonly link: (path: string, target: string) => Promise<void>
  /** Names in a folder; none when it is absent. */
  readonly list: (path: string) => Promise<readonly string[]>
  /** Another text when the file has become another one; null when it is absent. Follows links. */
  readonly stamp: (path: string) => Promise<string | null>
  /** Whether the file is there and has this content. */
  readonly matches: (path: string, expected: Expected) => Promise<boolean>
  /** Keeps a download under `path` only when it is exactly what was expected. */
  readonly save: (path: string, chunks: AsyncIterable<Buffer>, expected: Expected) => Promise<void>
}

export class BadDownload extends Error {
  override readonly name = 'BadDownload'
}

/** None of the files the agent reads as text is near this size. */
const textBytesMax = 8 * 1024 * 1024

export function createFiles(root: string): Files {
  const real = (path: string) => join(root, path)
  return {
    real,
    read: async path => readText(real(path)),
    write: async (path, text, mode) => writeDurably(real(path), text, mode),
    append: async (path, text) => appendDurably(real(path), text),
    remove: async path => rm(real(path), { force: true }),
    readLink: async path => orNull(readlink(real(path))),
    link: async (path, target) => replaceLink(real(path), target),
    list: async path => (await orNull(readdir(real(path)))) ?? [],
    stamp: async path => stampOf(real(path)),
    matches: async (path, expected) => matches(real(path), expected),
    save: async (path, chunks, expected) => save(real(path), chunks, expected)
  }
}

async function readText(path: string): Promise<string | null> {
  const found = await orNull(stat(path))
  if (found === null) return null
  if (found.size > textBytesMax) throw new Error(`${path} is larger than ${textBytesMax} bytes`)
  return orNull(readFile(path, 'utf8'))
}

async function writeDurably(path: string, text: string, mode: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const partial = `${path}.partial`
  await rm(partial, { force: true }) // an old one may have another mode
  const file = await open(partial, 'wx', mode)
  try {
    await file.writeFile(text)
    await file.chmod(mode)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(partial, path)
  await syncFolder(dirname(path))
}

async function appendDurably(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const file = await open(path, 'a', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function replaceLink(path: string, target: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const partial = `${path}.partial`
  await rm(partial, { force: true })
  await symlink(target, partial)
  await rename(partial, path)
  await syncFolder(dirname(path))
}

async function stampOf(path: string): Promise<string | null> {
  const found = await orNull(stat(path))
  return found === null ? null : `${found.dev}:${found.ino}:${found.size}:${found.mtimeMs}`
}

async function matches(path: string, { size, sha256 }: Expected): Promise<boolean> {
  const found = await orNull(stat(path))
  if (found === null || found.size !== size) return false
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return hash.digest('hex') === sha256
}

async function save(path: string, chunks: AsyncIterable<Buffer>, { size, sha256 }: Expected): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const partial = `${path}.partial`
  const file = await open(partial, 'w', 0o644)
  const hash = createHash('sha256')
  let bytes = 0
  try {
    for await (const chunk of chunks) {
      bytes += chunk.length
      if (bytes > size) throw new BadDownload(`it is larger than the ${size} bytes announced`)
      hash.update(chunk)
      await file.writeFile(chunk)
    }
    if (bytes !== size) throw new BadDownload(`it ended after ${bytes} of ${size} bytes`)
    if (hash.digest('hex') !== sha256) throw new BadDownload('its SHA-256 is not the one the server announced')
    await file.sync()
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  } finally {
    await file.close()
  }
  await rename(partial, path)
  await syncFolder(dirname(path))
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Absent is an answer; anything else (no permission, a bad disk) is not. */
async function orNull<T>(result: Promise<T>): Promise<T | null> {
  try {
    return await result
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? '')) return null
    throw error
  }
}
