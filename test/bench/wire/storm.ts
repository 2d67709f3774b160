// A rack of many machines that powers on all at once: how long until the slowest has its config, and what it costs.

import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { assetFiles } from '../../lab/documents.ts'
import type { Plan } from '../wire.ts'
import { repeat, spread } from './figures.ts'
import type { Wire } from './network.ts'
import { CONTROL_PORT, startSlipway } from './servers.ts'

const BOOT_PROGRAM_BYTES = 300_000

interface Seen {
  readonly seconds: number
  readonly failed: number
  readonly retries: number
  readonly times: readonly number[]
  readonly firstFailure: string | null
  /** Of the machines, seconds. */
  readonly cpu: number
}

export async function measureStorm(wire: Wire, { runs, machines, told }: Plan): Promise<void> {
  const seen = await repeat(runs, async run => {
    const name = `slipway-storm-${run}`
    const program = await startSlipway(wire, name, fill)
    let resident = 0
    const look = setInterval(() => (resident = Math.max(resident, program.residentMB())), 250)
    const input = { machines, data: join(wire.folder, name), controlPort: CONTROL_PORT }
    const result = (await wire.load('storm-load.ts', input)) as Seen
    clearInterval(look)
    const cpu = program.cpu()
    await program.stop()
    if (result.firstFailure !== null) process.stderr.write(`storm: ${result.firstFailure}\n`)
    return { ...result, resident, serverCpu: cpu, times: result.times.toSorted((a, b) => a - b) }
  })
  const at = (share: number): number[] =>
    seen.map(({ times }) => times[Math.ceil(times.length * share) - 1] ?? Number.NaN)
  told({
    figure: `boot storm, ${machines} machines, DISCOVER → config, p99`,
    server: 'Slipway',
    unit: 's',
    value: spread(at(0.99)),
    notes: {
      'median s': spread(at(0.5)).median.toFixed(2),
      failed: seen.reduce((sum, one) => sum + one.failed, 0),
      retries: seen.reduce((sum, one) => sum + one.retries, 0),
      'resident MB': spread(seen.map(one => one.resident)).max.toFixed(0),
      'server CPU s': spread(seen.map(one => one.serverCpu)).median.toFixed(2),
      'machines CPU s': spread(seen.map(one => one.cpu)).median.toFixed(2)
    }
  })
}

/** Boot programs, installer files and the agent: what a config cannot be made without. */
function fill(data: string): void {
  const files = [
    'boot/snponly.efi',
    'boot/ipxe.efi',
    'agents/slipway-agent-x86_64',
    'agents/slipway-agent-arm64',
    ...Object.entries(assetFiles).flatMap(([folder, names]) => names.map(name => `assets/${folder}/${name}`))
  ]
  for (const file of files) {
    mkdirSync(dirname(join(data, file)), { recursive: true })
    writeFileSync(join(data, file), Buffer.alloc(BOOT_PROGRAM_BYTES, file))
  }
}
