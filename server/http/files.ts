// The files that machines are given, below the data folder: installers, boot programs, agents, system extensions.
// Served by name, never listed; nothing outside these folders, whatever a link says.

import { realpath } from 'node:fs/promises'
import { basename, dirname, join, relative, sep } from 'node:path'
import type { Guard } from '../data/assets/guard/files.ts'
import { shareLooks } from '../core/looks.ts'
import { assetWord } from '../data/assets/manifest.ts'
import { type DigestOf, openDigests, statFile } from '../data/digest/files.ts'
import type { Arch, Artifact, Artifacts } from '../provision/deps.ts'

export interface Served {
  readonly folder: string
  readonly name: string
}

export interface Files extends Artifacts {
  /** Where a path below /assets/ is on disk; null when there is no such file, or it may not be seen. */
  readonly locate: (path: string) => Promise<Served | null>
  /** A boot program as it is on disk, whether it may be served or not. */
  readonly findProgram: (name: string) => Promise<Artifact | null>
}

/** Without a guard, every file is served as it is. */
export function openFiles(data: string, guard: Guard | null = null, digestOf: DigestOf = openDigests()): Files {
  const describe = async (folder: string, name: string): Promise<Artifact | null> => {
    const path = join(data, folder, name)
    const found = assetWord.test(name) ? await digestOf(path) : null
    return found === null ? null : { path, size: found.size, sha256: found.sha256 }
  }
  const served = async (folder: string, name: string): Promise<Artifact | null> => {
    const found = await describe(folder, name)
    if (found !== null) await guard?.file([`${folder}/${name}`], found.path)
    return found
  }
  const locate = async (path: string): Promise<Served | null> => {
    const found = await locateBelow(data, path)
    if (found === null) return null
    await guard?.file(found.names, found.path)
    return { folder: dirname(found.path), name: basename(found.path) }
  }
  return {
    locate,
    hasAsset: async path => (await locateBelow(data, path)) !== null,
    findProgram: name => describe('boot', name),
    findAgent: arch => served('agents', `slipway-agent-${arch}`),
    findExtension: async (version: string, arch: Arch) =>
      /^v[0-9.]+$/.test(version) ? served('extensions', `kubernetes-${version}-${arch}.raw`) : null
  }
}

/** A file that was there a moment ago: a rack that boots at once has it looked for thousands of times. */
const KEPT_MS = 1_000

/** The same, for many who ask at once. What is served is looked at each time, but once for all of that moment. */
export function shareFiles(files: Files, now: () => Date): Files {
  const findAgent = shareLooks(arch => files.findAgent(arch as Arch), { now, keepMs: 0 })
  return { ...files, findAgent, hasAsset: shareLooks(files.hasAsset, { now, keepMs: KEPT_MS }) }
}

interface Located {
  readonly path: string
  /** Below the data folder: as it was asked for, and as it is without links. */
  readonly names: readonly string[]
}

/** /assets/boot/… and /assets/extensions/… are folders of their own; the rest is the operator's. */
async function locateBelow(data: string, path: string): Promise<Located | null> {
  const words = path.split('/')
  if (!words.every(word => assetWord.test(word))) return null
  const own = words[0] === 'boot' || words[0] === 'extensions'
  const folder = own ? words[0]! : 'assets'
  const root = await resolve(join(data, folder))
  const file = root === null ? null : await resolve(join(root, ...(own ? words.slice(1) : words)))
  if (root === null || file === null || !file.startsWith(root + sep)) return null
  if ((await statFile(file)) === null) return null
  const names = new Set([own ? path : `assets/${path}`, join(folder, relative(root, file))])
  return { path: file, names: [...names] }
}

/** What is not there is an answer; what cannot be read is a failure. */
async function resolve(path: string): Promise<string | null> {
  try {
    return await realpath(path)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP' || code === 'ENAMETOOLONG') return null
    throw error
  }
}
