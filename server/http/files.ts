// The files that machines are given, below the data folder: installers, boot programs, agents, system extensions.
// Served by name, never listed; nothing outside these folders, whatever a link says.

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Arch, Artifact, Artifacts } from '../provision/deps.ts'

export interface Served {
  readonly folder: string
  readonly name: string
}

export interface Files extends Artifacts {
  /** Where a path below /assets/ is on disk; null when there is no such file, or it may not be seen. */
  readonly locate: (path: string) => Promise<Served | null>
  readonly findProgram: (name: string) => Promise<Artifact | null>
}

/** No dot files but the two of an installer tree, no '..', nothing that a shell or a script would notice. */
const WORD = /^([A-Za-z0-9_+@][A-Za-z0-9._+@=-]*|\.(treeinfo|discinfo))$/

export function openFiles(data: string): Files {
  const digests = new Map<string, { stamp: string; digest: Promise<string> }>()
  const describe = async (path: string): Promise<Artifact | null> => {
    const found = await statFile(path)
    if (found === null) return null
    const stamp = `${found.size} ${found.mtimeMs} ${found.ino}`
    const known = digests.get(path)
    const digest = known?.stamp === stamp ? known.digest : sha256Of(path)
    digests.set(path, { stamp, digest })
    digest.catch(() => digests.delete(path)) // told to whoever waits for it below; the next one tries again
    return { path, size: found.size, sha256: await digest }
  }
  const locate = async (path: string) => locateBelow(data, path)
  return {
    locate,
    hasAsset: async path => (await locate(path)) !== null,
    findProgram: name => (WORD.test(name) ? describe(join(data, 'boot', name)) : nothing()),
    findAgent: arch => describe(join(data, 'agents', `slipway-agent-${arch}`)),
    findExtension: (version: string, arch: Arch) =>
      /^v[0-9.]+$/.test(version) ? describe(join(data, 'extensions', `kubernetes-${version}-${arch}.raw`)) : nothing()
  }
}

/** /assets/boot/… and /assets/extensions/… are folders of their own; the rest is the operator's. */
async function locateBelow(data: string, path: string): Promise<Served | null> {
  const words = path.split('/')
  if (!words.every(word => WORD.test(word))) return null
  const own = words[0] === 'boot' || words[0] === 'extensions'
  const root = await resolve(own ? join(data, words[0]!) : join(data, 'assets'))
  const file = root === null ? null : await resolve(join(root, ...(own ? words.slice(1) : words)))
  if (root === null || file === null || !file.startsWith(root + sep)) return null
  return (await statFile(file)) === null ? null : { folder: dirname(file), name: basename(file) }
}

async function nothing(): Promise<null> {
  return null
}

async function statFile(path: string) {
  const found = await absent(stat(path))
  return found?.isFile() === true ? found : null
}

async function resolve(path: string): Promise<string | null> {
  return absent(realpath(path))
}

/** What is not there is an answer; what cannot be read is a failure. */
async function absent<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP' || code === 'ENAMETOOLONG') return null
    throw error
  }
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}
