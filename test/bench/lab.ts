// What `npm start -- --once` takes, and what the server holds in memory when its rack is Ready: whole processes, several
// runs, the median. node test/bench/main.ts lab [--json] [--runs N]

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const main = join(import.meta.dirname, '..', '..', 'server', 'main.ts')

const SECONDS_MAX = 60

interface Run {
  /** From the start of the process to its end. */
  seconds: number
  /** The server's resident memory when the last machine became Ready. */
  serverMB: number
}

export async function bench(args: readonly string[]): Promise<void> {
  const count = Number(args[args.indexOf('--runs') + 1] ?? 5) || 5
  const runs: Run[] = []
  for (let at = 0; at < count; at++) {
    const run = await measure()
    process.stderr.write(`run ${at + 1}: ${run.seconds.toFixed(1)} s, server ${run.serverMB.toFixed(0)} MB\n`)
    runs.push(run)
  }
  const figures = {
    runs: count,
    seconds: spread(runs.map(run => run.seconds)),
    serverMB: spread(runs.map(run => run.serverMB))
  }
  if (figures.seconds.median > SECONDS_MAX) process.exitCode = 1 // what a newcomer is promised
  if (args.includes('--json')) return void process.stdout.write(`${JSON.stringify({ lab: figures })}\n`)
  const line = ({ min, median, max }: ReturnType<typeof spread>, digits: number): string =>
    `${median.toFixed(digits)} (${min.toFixed(digits)} to ${max.toFixed(digits)})`
  process.stdout.write(
    [
      `slipway lab --once, six machines, ${count} runs, median (range)`,
      `  until all are Ready and everything is gone  ${line(figures.seconds, 1)} s`,
      `  server's resident memory then               ${line(figures.serverMB, 0)} MB`,
      ''
    ].join('\n')
  )
}

async function measure(): Promise<Run> {
  const started = performance.now()
  const child = spawn(process.execPath, [main, 'lab', '--once', '--json'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const closed = once(child, 'close')
  let folder = ''
  let serverMB = Number.NaN
  for await (const line of createInterface({ input: child.stdout })) {
    const event = JSON.parse(line) as { event: string; folder?: string }
    if (event.event === 'lab.started') folder = event.folder ?? ''
    if (event.event === 'lab.ready') serverMB = residentMB(folder)
  }
  const [code] = (await closed) as [number | null]
  if (code !== 0) throw new Error(`slipway lab --once ended with ${code}`)
  return { seconds: (performance.now() - started) / 1000, serverMB }
}

/** Read the moment the lab says that it is ready: the server ends soon after. */
function residentMB(folder: string): number {
  const [file] = globSync('**/run.json', { cwd: folder })
  if (file === undefined) throw new Error(`no run.json below ${folder}`)
  const { pid } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as { pid: number }
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return (Number(kilobytes) * 1024) / 1e6
}

function spread(values: readonly number[]): { min: number; median: number; max: number } {
  const sorted = values.toSorted((a, b) => a - b)
  return { min: sorted[0]!, median: sorted[Math.floor(sorted.length / 2)]!, max: sorted.at(-1)! }
}
