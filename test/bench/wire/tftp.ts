// TFTP: 64 clients ask at once for 1 MiB, with a window of 16 and with none, and over a wire that loses packets.

import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Plan } from '../wire.ts'
import { repeat, spread } from './figures.ts'
import type { Program, Wire } from './network.ts'
import { startSlipway, startTftpPeer } from './servers.ts'

const CLIENTS = 64
const BYTES = 1 << 20
const SEED = 20_260_101
const NAME = 'snponly.efi'

interface Seen {
  readonly seconds: number
  readonly right: number
  readonly retries: number
  /** User and system time of the clients, in seconds. */
  readonly cpu: number
}

export async function measureTftp(wire: Wire, plan: Plan): Promise<void> {
  const bytes = randomBytes(BYTES)
  const file = { clients: CLIENTS, name: NAME, bytes: BYTES, sha256: createHash('sha256').update(bytes).digest('hex') }
  const files = join(wire.folder, 'tftp')
  mkdirSync(files, { mode: 0o755 })
  writeFileSync(join(files, NAME), bytes)
  const slipway = (): Promise<Program> =>
    startSlipway(wire, 'slipway-tftp', data => {
      mkdirSync(join(data, 'boot'))
      writeFileSync(join(data, 'boot', NAME), bytes)
    })
  const servers: [name: string, hasWindow: boolean, start: () => Promise<Program>][] = [['Slipway', true, slipway]]
  for (const name of ['atftpd', 'tftpd-hpa', 'dnsmasq'] as const) {
    const version = plan.versions.get(name)
    if (version !== undefined) servers.push([version, name === 'atftpd', () => startTftpPeer(wire, name, files)])
  }
  for (const [server, hasWindow, start] of servers) {
    const program = await start()
    const measure = async (title: string, windowSize: number, seed: (run: number) => number | null): Promise<void> => {
      const load = async (run: number): Promise<Seen> =>
        (await wire.load('tftp-load.ts', { ...file, blockSize: 1468, windowSize, seed: seed(run) })) as Seen
      // A server that has run for a while is what is asked about.
      if (seed(0) === null) await load(0)
      const cpuBefore = program.cpu()
      const seen = await repeat(plan.runs, load)
      const cpu = (program.cpu() - cpuBefore) / plan.runs
      const right = Math.min(...seen.map(one => one.right))
      plan.told({
        figure: `TFTP, ${CLIENTS} clients × 1 MiB, ${title}`,
        server,
        unit: 's',
        value: spread(seen.map(one => one.seconds)),
        notes: {
          right: `${right}/${CLIENTS}`,
          // tftpd-hpa works in processes that leave their parent, so that its time is in nobody's account.
          'server CPU s': server.startsWith('tftpd-hpa') ? 'not known' : cpu.toFixed(2),
          'clients CPU s': spread(seen.map(one => one.cpu)).median.toFixed(2),
          retries: seen.reduce((sum, one) => sum + one.retries, 0)
        }
      })
    }
    if (hasWindow) await measure('windowsize 16', 16, () => null)
    await measure('no window', 1, () => null)
    if (server === 'Slipway') await measure('windowsize 4, lossy', 4, run => SEED + run)
    await program.stop()
  }
}
