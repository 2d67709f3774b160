// Finds and unpacks the real Kubernetes, etcd, containerd and Ignition binaries that tests use.
// SLIPWAY_LAB_TOOLS names a folder that holds them; else ../shared/tools is unpacked once into .lab/tools.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..', '..')
const packed = join(root, '..', 'shared', 'tools', 'unpack.sh')
const unpacked = join(root, '.lab', 'tools')

/** The folder with kubebox-1.35, 1.35/kubelet, etcd, ignition…; null (or a failure under SLIPWAY_REQUIRE=all) without it. */
export function findTools(): string | null {
  const named = process.env.SLIPWAY_LAB_TOOLS
  if (named !== undefined && named !== '') return named
  if (existsSync(join(unpacked, 'etcd'))) return unpacked
  if (existsSync(packed)) return unpack()
  if (process.env.SLIPWAY_REQUIRE === 'all') throw new Error(`SLIPWAY_REQUIRE=all: ${noTools}`)
  return null
}

export const noTools = 'real Kubernetes binaries are missing: set SLIPWAY_LAB_TOOLS to a folder that holds them'

/** Options for t.test, as needs() gives them. */
export function needsTools(): { skip: string | false } {
  return { skip: findTools() === null ? noTools : false }
}

function unpack(): string {
  const partial = `${unpacked}.${process.pid}`
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(partial, { recursive: true })
  execFileSync('bash', [packed, partial], { stdio: ['ignore', 'ignore', 'inherit'] })
  if (existsSync(join(unpacked, 'etcd'))) rmSync(partial, { recursive: true })
  else renameSync(partial, unpacked)
  return unpacked
}
