// What was imported is given to machines only as it was imported: a file whose bytes differ from its recorded digest
// is not served until it is imported again. The digest is computed at the first request, which waits for it, and again
// when the file has changed. A file without a record, such as one that an operator copied there, is served as it is.

import { setTimeout } from 'node:timers/promises'
import { Fault } from '../../../core/fault.ts'
import type { DigestOf } from '../../digest/files.ts'
import { openManifest } from '../files.ts'
import type { Entry, Manifest } from '../manifest.ts'

/** Throws Fault unavailable, with the remedy, for a file that is not what was imported. */
export interface Guard {
  /** `names`: paths below the data folder by which the file may be recorded; `path`: where it is. */
  readonly file: (names: readonly string[], path: string) => Promise<void>
}

export interface GuardDeps {
  readonly digestOf: DigestOf
  /** Told once for each wrong digest, and each time that assets.json becomes unreadable. */
  readonly refused: (refusal: Refusal) => void
}

export type Refusal =
  | { readonly kind: 'changed'; readonly path: string; readonly recorded: string; readonly found: string }
  | { readonly kind: 'manifest'; readonly error: unknown }

/** An import renames files first and records them then: for so long they may differ. */
const PATIENCE_MS = 500
/** Files that differ, remembered so that each is told once. */
const TOLD_MAX = 10_000

export function openGuard(data: string, { digestOf, refused }: GuardDeps): Guard {
  const told = new Set<string>()
  const read = readThrough(openManifest(data), error => refused({ kind: 'manifest', error }))

  async function check(names: readonly string[], digest: () => Promise<string | null>): Promise<void> {
    if (findEntry(await read(), names) === null) return
    for (const last of [false, true]) {
      const found = await digest()
      const recorded = findEntry(await read(), names) // after the digest: an import may have ended meanwhile
      if (found === null || recorded === null || recorded.entry.sha256 === found) return
      if (last) throw refuse(recorded, found)
      await setTimeout(PATIENCE_MS)
    }
  }

  function refuse({ name, entry }: Found, found: string): Fault {
    const key = `${name} ${entry.sha256} ${found}`
    if (!told.has(key)) {
      if (told.size >= TOLD_MAX) told.clear()
      told.add(key)
      refused({ kind: 'changed', path: name, recorded: entry.sha256, found })
    }
    const message = `${name} is not what was imported, and is not served: import it again`
    return new Fault('unavailable', `${message} (slipway assets verify says more)`)
  }

  return { file: (names, path) => check(names, async () => (await digestOf(path))?.sha256 ?? null) }
}

interface Found {
  readonly name: string
  readonly entry: Entry
}

function findEntry(manifest: Manifest, names: readonly string[]): Found | null {
  for (const name of names) {
    const entry = manifest.get(name)
    if (entry !== undefined) return { name, entry }
  }
  return null
}

/** A broken assets.json is told, and what was known before still holds; when nothing was, nothing can be trusted. */
function readThrough(read: () => Promise<Manifest>, failed: (error: unknown) => void): () => Promise<Manifest> {
  let good: Manifest | null = null
  let shown: unknown = null
  return async () => {
    try {
      good = await read()
      shown = null
      return good
    } catch (error) {
      if (shown !== error) failed(error)
      shown = error
      if (good !== null) return good
      throw new Fault('unavailable', 'the record of imported files cannot be read: slipway assets list says why', {
        cause: error
      })
    }
  }
}
