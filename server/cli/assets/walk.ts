// The files of a folder, which may be hostile: it came out of a package. Regular files alone, links only as far as they
// stay inside, no device is ever opened, and all of it bounded.

import { lstat, readdir, realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { Failure } from '../failure.ts'

export interface Walked {
  readonly files: readonly { readonly path: string; readonly source: string; readonly size: number }[]
  /** What was left out: a path, and why. */
  readonly skipped: readonly string[]
}

/** A distribution's tree has 20,000 files, ten deep. */
const ENTRIES_MAX = 200_000
const DEPTH_MAX = 40

export async function walk(root: string): Promise<Walked> {
  const top = await realpath(root)
  const files: Array<Walked['files'][number]> = []
  const skipped: string[] = []
  const waiting = [{ folder: top, path: '', depth: 0 }]
  let seen = 0
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { folder, path, depth } = next
    if (depth > DEPTH_MAX) throw new Failure(`${root} is deeper than ${DEPTH_MAX} folders: name the one that is meant`)
    for (const name of (await readdir(folder)).toSorted()) {
      if (++seen > ENTRIES_MAX)
        throw new Failure(`${root} holds more than ${ENTRIES_MAX} files: name the folder that is meant`)
      const [source, below] = [join(folder, name), path === '' ? name : `${path}/${name}`]
      const found = await lstat(source)
      if (found.isDirectory()) waiting.push({ folder: source, path: below, depth: depth + 1 })
      else if (found.isFile()) files.push({ path: below, source, size: found.size })
      else if (found.isSymbolicLink()) {
        const target = await findTarget(source, top)
        if (typeof target === 'string') skipped.push(`${below}: ${target}`)
        else files.push({ path: below, ...target })
      } else skipped.push(`${below}: neither a file nor a folder`)
    }
  }
  return { files, skipped }
}

/** A link to a file inside the folder; links to folders are left out, since what is in them is walked anyway. */
async function findTarget(link: string, top: string): Promise<{ source: string; size: number } | string> {
  try {
    const source = await realpath(link)
    if (!source.startsWith(top + sep)) return 'a link to what is outside: import that itself'
    const found = await stat(source)
    return found.isFile() ? { source, size: found.size } : 'a link to no file'
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ELOOP' || code === 'ENOTDIR') return 'a link to nothing'
    throw error
  }
}
