// An authority's two files: NAME.key (0600) and NAME.crt in a folder of mode 0700. Created whole or not at all: a power
// cut, or two servers that start together, never leave half a key or two authorities.

import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault } from '../core/fault.ts'

export interface AuthorityFiles {
  /** The texts; null where there is no such file. */
  readonly read: () => Promise<{ key: string | null; certificate: string | null }>
  /** Both do nothing when the file is there already: read again. */
  readonly createKey: (pem: string) => Promise<void>
  readonly createCertificate: (pem: string) => Promise<void>
}

/** Throws Fault unavailable with the file and the remedy, from each function. */
export function authorityFiles(folder: string, name: string): AuthorityFiles {
  const key = join(folder, `${name}.key`)
  const certificate = join(folder, `${name}.crt`)
  return {
    read: async () => ({ key: await readSecret(key), certificate: await readText(certificate) }),
    createKey: async pem => {
      await guard(folder, () => mkdir(folder, { mode: 0o700 }), 'EEXIST')
      await createWhole(folder, key, pem, 0o600)
    },
    createCertificate: pem => createWhole(folder, certificate, pem, 0o644)
  }
}

async function readSecret(path: string): Promise<string | null> {
  const text = await readText(path)
  if (text === null) return null
  const { mode } = await stat(path)
  if ((mode & 0o077) === 0) return text
  const shown = (mode & 0o777).toString(8)
  throw new Fault('unavailable', `others may read ${path} (mode ${shown}); chmod 600 it, or restore it if they have`)
}

async function readText(path: string): Promise<string | null> {
  const text = await guard(path, () => readFile(path, 'utf8'), 'ENOENT')
  return text ?? null
}

/** A temporary file, synced, then linked under its name: link fails where rename would overwrite. */
async function createWhole(folder: string, path: string, text: string, mode: number): Promise<void> {
  const partial = `${path}.${randomBytes(6).toString('hex')}`
  await guard(path, () => write(partial, text, mode))
  try {
    await guard(path, () => link(partial, path), 'EEXIST')
  } finally {
    await unlink(partial)
  }
  await guard(folder, () => sync(folder))
}

async function write(path: string, text: string, mode: number): Promise<void> {
  await using file = await open(path, 'wx', mode)
  await file.writeFile(text)
  await file.sync()
}

/** The new name is on the disk only when the folder is. */
async function sync(folder: string): Promise<void> {
  await using handle = await open(folder, 'r')
  await handle.sync()
}

/** Null for the one outcome that is an answer; any other failure names the file and what to do. */
async function guard<T>(path: string, work: () => Promise<T>, answer?: string): Promise<T | null> {
  try {
    return await work()
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    if (code === answer) return null
    const remedy = code === 'ENOSPC' ? 'the disk is full; free some space' : 'give this user the data folder'
    throw new Fault('unavailable', `cannot use ${path} (${code}): ${remedy}`, { cause: error })
  }
}
