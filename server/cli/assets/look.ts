// slipway assets list and verify: what the data folder holds beside what was recorded.

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readManifest } from '../../data/assets/files.ts'
import { assetFolders, type Entry, isAssetPath } from '../../data/assets/manifest.ts'
import { openDigests, statFile } from '../../data/digest/files.ts'
import type { Progress } from './progress.ts'

export type AssetState = 'ok' | 'changed' | 'missing' | 'not recorded'

export interface Asset {
  readonly path: string
  readonly state: AssetState
  /** Of the file as it is; null when it is missing. */
  readonly size: number | null
  /** As recorded; null when nothing is. */
  readonly sha256: string | null
  readonly from: string | null
  readonly at: string | null
}

/** `verify` reads every file; `list` reads those that were written since they were recorded. */
export type Depth = 'list' | 'verify'

const FILES_MAX = 500_000

/** In the order of their paths. Throws a Fault when the record is broken. */
export async function lookAt(data: string, depth: Depth, progressOf: (path: string) => Progress): Promise<Asset[]> {
  const manifest = await readManifest(data)
  const paths = new Set([...manifest.keys(), ...(await listFiles(data))])
  const digestOf = openDigests()
  const assets: Asset[] = []
  for (const path of [...paths].toSorted()) {
    const entry = manifest.get(path) ?? null
    const found = await statFile(join(data, path))
    const same = async (): Promise<boolean> => {
      const progress = progressOf(path)
      progress.at(0, found?.size ?? null)
      const digested = await digestOf(join(data, path))
      progress.done()
      return digested?.sha256 === entry?.sha256
    }
    const state = await stateOf(entry, found, depth, same)
    const { sha256 = null, from = null, at = null } = entry ?? {}
    assets.push({ path, state, size: found?.size ?? null, sha256, from, at })
  }
  return assets
}

async function stateOf(
  entry: Entry | null,
  found: { readonly size: number; readonly mtimeMs: number } | null,
  depth: Depth,
  same: () => Promise<boolean>
): Promise<AssetState> {
  if (entry === null) return 'not recorded'
  if (found === null) return 'missing'
  if (found.size !== entry.size) return 'changed'
  if (depth === 'list' && found.mtimeMs === entry.modifiedMs) return 'ok'
  return (await same()) ? 'ok' : 'changed'
}

/** Those that machines may ask for. */
async function listFiles(data: string): Promise<string[]> {
  const found: string[] = []
  for (const folder of assetFolders) {
    for (const entry of await entriesOf(join(data, folder))) {
      if (entry.isDirectory()) continue
      const path = join(entry.parentPath, entry.name).slice(data.length + 1)
      if (isAssetPath(path) && found.length < FILES_MAX) found.push(path)
    }
  }
  return found
}

async function entriesOf(folder: string) {
  try {
    return await readdir(folder, { recursive: true, withFileTypes: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
