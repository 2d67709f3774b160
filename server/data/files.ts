// The data folder (0700): made at start, and checked before anything is served from it. Holds the database, the
// authority, what machines are given, the first administrator's token and, while a server runs, run.json with its URLs.

import { constants } from 'node:fs'
import { access, mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { Fault } from '../core/fault.ts'

/** Boot programs are small (iPXE 1 MB, shim 1 MB, GRUB 4 MB); what is larger goes by HTTP. */
const BOOT_PROGRAM_BYTES_MAX = 64 * 1024 * 1024

export interface RunFile {
  readonly pid: number
  readonly boot: string
  readonly control: string
  readonly page: string | null
}

/** Makes the folder and its parts. Throws a Fault that says what to do when it cannot be written. */
export async function prepareData(data: string): Promise<void> {
  try {
    await mkdir(data, { recursive: true, mode: 0o700 })
    await access(data, constants.R_OK | constants.W_OK | constants.X_OK)
    for (const part of ['boot', 'assets', 'agents', 'extensions']) {
      await mkdir(join(data, part), { recursive: true, mode: 0o755 })
    }
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error'
    const remedy = code === 'ENOSPC' ? 'the disk is full, free some space' : 'give this user that folder, or set data'
    throw new Fault('unavailable', `the data folder ${data} cannot be written (${code}): ${remedy}`, { cause })
  }
}

/** Writes the whole file or none of it, 0600, on the disk when it returns. */
export async function writePrivate(path: string, text: string): Promise<void> {
  await writeWhole(path, text, 0o600)
}

/** The same with other rights. */
export async function writeWhole(path: string, text: string, mode: number): Promise<void> {
  const partial = `${path}.part`
  const file = await open(partial, 'w', mode)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(partial, path)
}

/** The text of a file; null when there is none. */
export async function findText(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

/** The administrator's token that programs on this machine use; made at the first start. */
export async function adminToken(data: string, make: () => string): Promise<{ token: string; made: boolean }> {
  const path = join(data, 'admin.token')
  const found = (await findText(path))?.trim()
  if (found !== undefined && found !== '') return { token: found, made: false }
  const token = make()
  await writePrivate(path, `${token}\n`)
  return { token, made: true }
}

export async function writeRunFile(data: string, run: RunFile): Promise<void> {
  await writeFile(join(data, 'run.json'), `${JSON.stringify(run)}\n`, { mode: 0o600 })
}

export async function removeRunFile(data: string): Promise<void> {
  await rm(join(data, 'run.json'), { force: true })
}

/**
 * A boot program by its bare name, kept in memory as long as the file does not change; null when there is none, or
 * when `check` throws a Fault about it, which has told the operator why.
 */
export function openBootPrograms(
  data: string,
  check: (name: string, bytes: Buffer) => Promise<void> = async () => undefined
): (name: string) => Promise<Buffer | null> {
  const read = openBootFolder(data)
  return async name => {
    const bytes = await read(name)
    if (bytes === null) return null
    try {
      await check(`boot/${name}`, bytes)
      return bytes
    } catch (error) {
      if (error instanceof Fault) return null
      throw error
    }
  }
}

function openBootFolder(data: string): (name: string) => Promise<Buffer | null> {
  const kept = new Map<string, { stamp: string; bytes: Buffer }>()
  return async name => {
    if (name !== basename(name) || !/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/.test(name)) return null
    const file = await openIfThere(join(data, 'boot', name))
    if (file === null) return null
    try {
      const found = await file.stat()
      const { size, mtimeMs, ino } = found
      const stamp = `${size} ${mtimeMs} ${ino}`
      const known = kept.get(name)
      if (known?.stamp === stamp) return known.bytes
      if (!found.isFile() || size > BOOT_PROGRAM_BYTES_MAX) return null
      const bytes = await file.readFile()
      kept.set(name, { stamp, bytes })
      return bytes
    } finally {
      await file.close()
    }
  }
}

async function openIfThere(path: string) {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null
    if (code === 'ENOENT' || code === 'ELOOP') return null
    throw error
  }
}
