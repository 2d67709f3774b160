// Real counterparts of a test that may be missing on a user's machine: then it is skipped and says why.
// In CI (SLIPWAY_REQUIRE=all) a missing one is a failure.

import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

export interface Wants {
  /** Programs to be found on PATH (or below one of the extra folders). */
  readonly programs?: readonly string[]
  /** Absolute paths of files. */
  readonly files?: readonly string[]
  /** Root rights: network namespaces, mounts. */
  readonly root?: boolean
}

const extra = [
  '/usr/sbin',
  '/sbin',
  '/usr/lib/postgresql/17/bin',
  '/usr/lib/postgresql/16/bin',
  '/usr/lib/postgresql/15/bin'
]

/** The first thing missing, as a sentence; null when all is there. */
export function missing({ programs = [], files = [], root = false }: Wants): string | null {
  if (root && process.getuid?.() !== 0) return 'needs root (network namespaces)'
  const file = files.find(path => !readable(path))
  if (file !== undefined) return `${file} is missing`
  const program = programs.find(name => findProgram(name) === null)
  return program === undefined ? null : `${program} is not installed`
}

/** Options for t.test: `t.test(name, needs({...}), async t => …)`. Under SLIPWAY_REQUIRE=all nothing is skipped. */
export function needs(wants: Wants): { skip: string | false } {
  const why = missing(wants)
  if (why === null) return { skip: false }
  if (process.env.SLIPWAY_REQUIRE === 'all') throw new Error(`SLIPWAY_REQUIRE=all: ${why}`)
  return { skip: why }
}

export function findProgram(name: string): string | null {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...extra]
  return folders.map(folder => join(folder, name)).find(executable) ?? null
}

function readable(path: string): boolean {
  return access(path, constants.R_OK)
}

function executable(path: string): boolean {
  return access(path, constants.X_OK)
}

function access(path: string, mode: number): boolean {
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false // a question, not a failure: absent is the answer
  }
}
