// The data folder (0700): made at start, and checked before anything is served from it. Holds the database, the
// authority, what machines are given, the first administrator's token and, while a server runs, run.json with its URLs.

import { constants } from 'node:fs'
import { access, mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault } from '../core/fault.ts'

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
