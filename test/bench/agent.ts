// What the agent costs a machine: its file, its start, its memory while it has nothing to do. Measured on the executable as
// it is released, joined to a server and an API server that answer on loopback.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { execa } from 'execa'
import { buildAgent, defaultOutput, nativeArch } from '../../agent/build.ts'
import { createWorld } from '../agent/world.ts'
import { openWire } from '../agent/wire.ts'

const startsMeasured = 15
const idleMs = 10_000

interface Figures {
  fileMB: number
  /** zstd -19; null without zstd. */
  compressedMB: number | null
  firstLineMs: { min: number; median: number }
  /** Dirty pages that only this process has: the clean ones are the file's, which the kernel may drop. */
  privateMB: number
  residentMB: number
}

export const limits = { fileMB: 115, compressedMB: 31, firstLineMs: 50, privateMB: 20 }

export async function bench(args: readonly string[]): Promise<void> {
  const file = await buildAgent(nativeArch, defaultOutput(nativeArch), line => process.stderr.write(`${line}\n`))
  const figures: Figures = {
    fileMB: statSync(file).size / 1e6,
    compressedMB: await compressed(file),
    firstLineMs: await firstLine(file),
    ...(await idle(file))
  }
  // Sizes are the same on every machine; a time says as much about what else the machine did, so it is only shown.
  const { fileMB, compressedMB, privateMB } = figures
  const within = fileMB <= limits.fileMB && (compressedMB ?? 0) <= limits.compressedMB && privateMB <= limits.privateMB
  if (!within) process.exitCode = 1
  if (args.includes('--json')) {
    process.stdout.write(`${JSON.stringify({ agent: figures, limits })}\n`)
    return
  }
  const rows: Array<[what: string, measured: string, limit: string]> = [
    ['file', `${figures.fileMB.toFixed(1)} MB`, `${limits.fileMB} MB`],
    [
      'zstd -19',
      figures.compressedMB === null ? 'no zstd' : `${figures.compressedMB.toFixed(1)} MB`,
      `${limits.compressedMB} MB`
    ],
    ['first line, min', `${figures.firstLineMs.min.toFixed(0)} ms`, `${limits.firstLineMs} ms`],
    ['first line, median', `${figures.firstLineMs.median.toFixed(0)} ms`, ''],
    ['private memory, idle', `${figures.privateMB.toFixed(1)} MB`, `${limits.privateMB} MB`],
    ['resident memory, idle', `${figures.residentMB.toFixed(1)} MB`, '']
  ]
  for (const [what, measured, limit] of rows) {
    process.stdout.write(`${what.padEnd(24)}${measured.padStart(10)}${limit === '' ? '' : `   (at most ${limit})`}\n`)
  }
}

async function compressed(file: string): Promise<number | null> {
  const { stdout, exitCode } = await execa('sh', ['-c', 'zstd -q -19 -T0 -c "$1" | wc -c', 'sh', file], {
    reject: false
  })
  return exitCode === 0 && Number(stdout) > 0 ? Number(stdout) / 1e6 : null
}

/** From the start of the process to its first byte. */
async function firstLine(file: string): Promise<Figures['firstLineMs']> {
  const times: number[] = []
  const root = mkdtempSync(join(tmpdir(), 'slipway-bench-'))
  for (let n = 0; n < startsMeasured; n += 1) {
    const started = performance.now()
    const child = spawn(file, ['run', '--root', root], { stdio: ['ignore', 'pipe', 'ignore'] })
    const ended = once(child, 'exit')
    await once(child.stdout, 'data')
    times.push(performance.now() - started)
    await ended
  }
  rmSync(root, { recursive: true })
  const sorted = times.toSorted((a, b) => a - b)
  return { min: sorted[0]!, median: sorted[Math.floor(sorted.length / 2)]! }
}

async function idle(file: string): Promise<Pick<Figures, 'privateMB' | 'residentMB'>> {
  const root = mkdtempSync(join(tmpdir(), 'slipway-bench-'))
  const world = createWorld(root)
  let joined = (): void => {}
  const isJoined = new Promise<void>(resolve => (joined = resolve))
  const wire = await openWire(world, () => {
    world.clock = new Date()
    if (existsSync(join(root, 'etc/kubernetes/kubelet.conf'))) {
      world.cluster.node ??= { metadata: { name: 'n1', resourceVersion: '1', labels: {}, annotations: {} }, spec: {} }
    }
    if (world.server.phase === 'joined' && world.cluster.node !== null) joined()
    return false
  })
  const child = spawn(file, ['run', '--root', root, '--path', wire.path], { stdio: ['ignore', 'ignore', 'inherit'] })
  const ended = once(child, 'exit')
  try {
    await isJoined
    await wait(idleMs)
    const text = readFileSync(`/proc/${child.pid}/smaps_rollup`, 'utf8')
    const kB = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1])
    process.stderr.write(process.env['SLIPWAY_BENCH_SMAPS'] === undefined ? '' : text)
    return { privateMB: (kB('Private_Dirty') * 1024) / 1e6, residentMB: (kB('Rss') * 1024) / 1e6 }
  } finally {
    child.kill('SIGTERM')
    await ended
    await wire.close()
    rmSync(root, { recursive: true })
  }
}
