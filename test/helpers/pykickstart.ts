// The real ksvalidator: pykickstart from PyPI in a virtual environment of its own below .lab/, made once.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { missing } from './require.ts'

const version = '3.78'
const lab = join(import.meta.dirname, '..', '..', '.lab')
const ready = join(lab, 'venv')

/** The path of ksvalidator; or why there is none, as a sentence. Under SLIPWAY_REQUIRE=all a reason is thrown. */
export function findKsvalidator(): { program: string } | { why: string } {
  const program = join(ready, 'bin', 'ksvalidator')
  if (existsSync(program)) return { program }
  const why = install()
  if (why === null) return { program }
  if (process.env.SLIPWAY_REQUIRE === 'all') throw new Error(`SLIPWAY_REQUIRE=all: ${why}`)
  return { why }
}

/** A virtual environment cannot be moved: it is made under a name of this process, and the link to it comes last. */
function install(): string | null {
  const lacks = missing({ programs: ['python3'] })
  if (lacks !== null) return lacks
  const folder = join(lab, `venv.${process.pid}`)
  mkdirSync(lab, { recursive: true })
  try {
    const options = { stdio: 'pipe', timeout: 120_000 } as const
    execFileSync('python3', ['-m', 'venv', folder], options)
    const pip = ['-q', '--disable-pip-version-check', 'install', `pykickstart==${version}`]
    execFileSync(join(folder, 'bin', 'pip'), pip, options)
    symlinkSync(folder, ready)
    return null
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    if (existsSync(join(ready, 'bin', 'ksvalidator'))) return null // another test file was faster
    return `pykickstart cannot be installed: ${error instanceof Error ? error.message.split('\n', 1)[0] : 'unknown'}`
  }
}
