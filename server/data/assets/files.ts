// assets.json on the disk: read when it has changed, written whole, by one program at a time.

import { open, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault } from '../../core/fault.ts'
import { findText, writeWhole } from '../files.ts'
import { formatManifest, type Manifest, parseManifest } from './manifest.ts'

export const MANIFEST = 'assets.json'
const LOCK = 'assets.lock'

/** What is recorded; nothing when there is no such file. Throws Fault invalid for one that is broken. */
export async function readManifest(data: string): Promise<Manifest> {
  const path = join(data, MANIFEST)
  const text = await findText(path)
  return text === null ? new Map() : parseManifest(text, path)
}

/** The same, read again only when the file has changed. */
export function openManifest(data: string): () => Promise<Manifest> {
  let known: { stamp: string; manifest: Promise<Manifest> } | null = null
  return async () => {
    const stamp = await stampOf(join(data, MANIFEST))
    if (known?.stamp === stamp) return known.manifest
    const manifest = readManifest(data)
    known = { stamp, manifest }
    return manifest
  }
}

/** Holds no secret: 0644, in a folder that only the server's user may enter. */
export async function writeManifest(data: string, manifest: Manifest): Promise<void> {
  await writeWhole(join(data, MANIFEST), formatManifest(manifest), 0o644)
}

/** Keeps other imports out until what it returns is called. Throws Fault conflict while another one runs. */
export async function lockManifest(data: string, pid: number): Promise<() => Promise<void>> {
  const path = join(data, LOCK)
  for (const attempt of ['first', 'after a dead one'] as const) {
    try {
      const file = await open(path, 'wx', 0o644)
      await file.writeFile(`${pid}\n`)
      await file.close()
      return () => rm(path, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      const holder = Number(await findText(path))
      if (attempt !== 'first' || isRunning(holder)) {
        const remedy = `wait for it; if it is no import, remove ${path}`
        throw new Fault('conflict', `another import (process ${holder}) works in ${data}: ${remedy}`)
      }
      await rm(path, { force: true })
    }
  }
  throw new Fault('conflict', `another import works in ${data}`)
}

function isRunning(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' // somebody else's, but there
  }
}

async function stampOf(path: string): Promise<string> {
  try {
    const { size, mtimeMs, ino } = await stat(path)
    return `${size} ${mtimeMs} ${ino}`
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}
