// Runs what Slipway puts into a kickstart file: the %pre and %post scripts, with the real shell, in a machine's
// folder. Everything else of a kickstart is Anaconda's and only looked at: partitions, packages and users are not made.
//
// The scripts see nothing but the lab: PATH holds the simulated programs and a few plain tools, SLIPWAY_SYSROOT and
// SLIPWAY_TMP name the machine's folders. A script that names a path outside of them is refused, not run: this runs
// on the computer of whoever tries Slipway.

import { spawn } from 'node:child_process'
import { mkdir, readdir, symlink } from 'node:fs/promises'
import { access, constants } from 'node:fs/promises'
import { join } from 'node:path'

export interface Section {
  readonly name: string // pre, post, packages
  readonly options: readonly string[]
  readonly text: string
}

/** The commands before the first section, and the sections in order. */
export function parseKickstart(text: string): { commands: readonly string[]; sections: readonly Section[] } {
  const commands: string[] = []
  const sections: Section[] = []
  let open: { name: string; options: string[]; lines: string[] } | null = null
  for (const line of text.split('\n')) {
    if (open !== null) {
      if (line.trimEnd() === '%end') {
        sections.push({ name: open.name, options: open.options, text: open.lines.join('\n') })
        open = null
      } else open.lines.push(line)
    } else if (line.startsWith('%') && !line.startsWith('%include')) {
      const [name = '', ...options] = line.slice(1).split(/\s+/)
      open = { name, options, lines: [] }
    } else if (line.trim() !== '' && !line.startsWith('#')) commands.push(line)
  }
  if (open !== null) throw new Error(`kickstart: section %${open.name} has no %end`)
  return { commands, sections }
}

/** Plain tools that the scripts may use as they are: none looks at anything but its arguments. */
const tools = ['base64', 'cat', 'chmod', 'mkdir', 'mv', 'sha256sum', 'wc', 'rm', 'ln', 'grep', 'sed']

/** A folder for PATH with those tools, wherever this system keeps them. */
export async function linkTools(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (const tool of tools) {
    const found = await Promise.all(['/usr/bin', '/bin', '/usr/sbin', '/sbin'].map(async at => await find(at, tool)))
    const path = found.find(place => place !== null)
    if (path === undefined || path === null) throw new Error(`the lab needs the program ${tool}`)
    await symlink(path, join(folder, tool))
  }
}

async function find(folder: string, tool: string): Promise<string | null> {
  const path = join(folder, tool)
  return await access(path, constants.X_OK).then(
    () => path,
    () => null
  )
}

export interface Installer {
  /** The disk to be, as a folder. */
  readonly sysroot: string
  readonly temporary: string
  /** What the scripts see as /sys. */
  readonly sys: string
  /** PATH of the scripts. */
  readonly path: string
  readonly signal: AbortSignal
}

/** Runs %pre, then %post. Throws with the last lines of a script that failed: the sections say --erroronfail. */
export async function runKickstart(text: string, installer: Installer): Promise<void> {
  const { commands, sections } = parseKickstart(text)
  await mkdir(installer.temporary, { recursive: true })
  await mkdir(installer.sysroot, { recursive: true })
  for (const section of sections.filter(({ name }) => name === 'pre')) await runScript(section, installer)
  const included = commands.filter(line => line.startsWith('%include /tmp/')).map(line => line.slice(14).trim())
  const there = await readdir(installer.temporary)
  const absent = included.find(name => !there.includes(name))
  if (absent !== undefined) throw new Error(`kickstart: %pre has not written /tmp/${absent}`)
  for (const section of sections.filter(({ name }) => name === 'post')) await runScript(section, installer)
}

async function runScript(section: Section, { sysroot, temporary, sys, path, signal }: Installer): Promise<void> {
  const stray = strayPath(section.text)
  if (stray !== null) throw new Error(`the lab does not run %${section.name}: it names ${stray}`)
  const child = spawn('/bin/sh', ['-c', section.text], {
    cwd: sysroot,
    env: { PATH: path, LC_ALL: 'C', SLIPWAY_SYSROOT: sysroot, SLIPWAY_TMP: temporary, SLIPWAY_SYS: sys },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    signal,
    killSignal: 'SIGKILL'
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output = (output + chunk).slice(-4_000)
    })
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (code === 0) return
  throw new Error(`%${section.name} ended with ${code}: ${output.trim().split('\n').slice(-4).join(' | ')}`)
}

/**
 * The first absolute path that is written to or read by redirection, or opens a word of a command, unless it goes
 * through $root or ${SLIPWAY_…}. Functions of our scripts take machine paths as arguments and put $root before them.
 */
export function strayPath(script: string): string | null {
  const outside = withoutHereDocuments(script)
    .split('\n')
    .filter(line => !/^\s*#/.test(line))
  for (const line of outside) {
    const redirected = /[<>]\s*"?(\/(?!dev\/null\b)[^\s"']*)/.exec(line)
    if (redirected !== null) return redirected[1]!
    if (/^\s*(folder|put|fetch|disk=|root=)/.test(line)) continue
    const word = /(?:^|[\s;|&(])(?:cp|mv|rm|mkdir|chmod|ln|tee|install|sed|touch)\b[^\n]*?\s["']?(\/[^\s"']*)/.exec(
      line
    )
    if (word !== null) return word[1]!
  }
  return null
}

function withoutHereDocuments(script: string): string {
  return script.replaceAll(/<<'EOF'\n[^]*?\nEOF(?=\n|$)/g, '')
}
