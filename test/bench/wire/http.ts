// A 1 GB asset to 16 clients at once: bytes that a second of the server's CPU time delivers.

import { execFileSync } from 'node:child_process'
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Plan } from '../wire.ts'
import { repeat, spread } from './figures.ts'
import type { Program, Wire } from './network.ts'
import { startNginx, startSlipway } from './servers.ts'

const CLIENTS = 16
const BYTES = 1_000_000_000
const WINDOW_MS = 4_000
const PATH = '/assets/large.img'

export async function measureHttp(wire: Wire, plan: Plan): Promise<void> {
  const assets = join(wire.folder, 'slipway-http', 'assets')
  const slipway = (): Promise<Program> =>
    startSlipway(wire, 'slipway-http', () => {
      mkdirSync(assets)
      writeFileSync(join(assets, 'large.img'), '')
      truncateSync(join(assets, 'large.img'), BYTES)
    })
  const servers: [name: string, start: () => Promise<Program>][] = [['Slipway', slipway]]
  const nginx = plan.versions.get('nginx')
  if (nginx !== undefined) servers.push([`${nginx}, sendfile`, () => startNginx(wire, assets)])
  for (const [server, start] of servers) {
    const program = await start()
    // Read by us beforehand: the first server must not pay for filling the page cache.
    execFileSync('cat', [join(assets, 'large.img')], { stdio: 'ignore' })
    // Once without being counted: a process compiles what it runs for the first time.
    await wire.load('http-load.ts', { clients: CLIENTS, path: PATH, ms: 1_000 })
    const before = program.residentMB()
    let wall = 0
    let memory = 0
    const rates = await repeat(plan.runs, async () => {
      const cpu = program.cpu()
      const input = { clients: CLIENTS, path: PATH, ms: WINDOW_MS }
      const { bytes, seconds } = (await wire.load('http-load.ts', input)) as { bytes: number; seconds: number }
      wall += bytes / seconds / plan.runs
      memory = Math.max(memory, program.residentMB())
      return bytes / (program.cpu() - cpu) / 1e6
    })
    plan.told({
      figure: `1 GB asset, ${CLIENTS} clients, a CPU second`,
      server,
      unit: 'MB',
      value: spread(rates),
      notes: { 'MB/s': (wall / 1e6).toFixed(0), 'grew by MB': (memory - before).toFixed(0) }
    })
    await program.stop()
  }
}
