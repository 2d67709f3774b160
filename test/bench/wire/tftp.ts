// TFTP: 64 clients ask at once for 1 MiB, with a window of 16 and with none, and over a wire that loses packets.

import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Plan } from '../wire.ts'
import { spread } from './figures.ts'
import { PEERS, type Program, SERVER, type Wire } from './network.ts'
import { startSlipway, startTftpPeer } from './servers.ts'

const CLIENTS = 64
const BYTES = 1 << 20
const SEED = 20_260_101
const NAME = 'snponly.efi'

interface Seen {
  readonly seconds: number
  readonly right: number
  readonly retries: number
  /** How often each client fetched its file, the last time of which is what was measured. */
  readonly rounds: number
  /** User and system time of the clients, in seconds. */
  readonly cpu: number
}

interface Server {
  readonly name: string
  readonly address: string
  readonly program: Program
  readonly hasWindow: boolean
}

export async function measureTftp(wire: Wire, plan: Plan): Promise<void> {
  const bytes = randomBytes(BYTES)
  const file = { clients: CLIENTS, name: NAME, bytes: BYTES, sha256: createHash('sha256').update(bytes).digest('hex') }
  const files = join(wire.folder, 'tftp')
  mkdirSync(files, { mode: 0o755 })
  writeFileSync(join(files, NAME), bytes)
  const slipway = await startSlipway(wire, 'slipway-tftp', data => {
    mkdirSync(join(data, 'boot'))
    writeFileSync(join(data, 'boot', NAME), bytes)
  })
  const servers: Server[] = [{ name: 'Slipway', address: SERVER, program: slipway, hasWindow: true }]
  for (const name of ['atftpd', 'tftpd-hpa', 'dnsmasq'] as const) {
    const version = plan.versions.get(name)
    if (version === undefined) continue
    const program = await startTftpPeer(wire, name, files)
    servers.push({ name: version, address: PEERS[name], program, hasWindow: name === 'atftpd' })
  }
  const ask = async ({ address }: Server, windowSize: number, seed: number | null): Promise<Seen> =>
    (await wire.load('tftp-load.ts', { ...file, server: address, blockSize: 1468, windowSize, seed })) as Seen
  const windowed = servers.filter(({ hasWindow }) => hasWindow)
  await compare(plan, 'windowsize 16', windowed, server => ask(server, 16, null))
  await compare(plan, 'no window', servers, server => ask(server, 1, null))
  await compare(plan, 'windowsize 4, lossy', [servers[0]!], (server, run) => ask(server, 4, SEED + run))
  for (const { program } of servers) await program.stop()
}

/** All are asked in turn, run by run: what else the machine does meanwhile falls on each alike. */
async function compare(
  plan: Plan,
  title: string,
  servers: readonly Server[],
  load: (server: Server, run: number) => Promise<Seen>
): Promise<void> {
  const seen = new Map(servers.map(server => [server, [] as Array<Seen & { readonly serverCpu: number }>]))
  for (let run = 0; run < plan.runs; run++) {
    for (const server of servers) {
      const cpuBefore = server.program.cpu()
      const one = await load(server, run)
      seen.get(server)!.push({ ...one, serverCpu: (server.program.cpu() - cpuBefore) / one.rounds })
    }
  }
  for (const [{ name }, runs] of seen) {
    plan.told({
      figure: `TFTP, ${CLIENTS} clients × 1 MiB, ${title}`,
      server: name,
      unit: 's',
      value: spread(runs.map(one => one.seconds)),
      notes: {
        right: `${Math.min(...runs.map(one => one.right))}/${CLIENTS}`,
        // tftpd-hpa works in processes that leave their parent, so that its time is in nobody's account.
        'server CPU s': name.startsWith('tftpd-hpa') ? 'not known' : median(runs.map(one => one.serverCpu)),
        'clients CPU s': median(runs.map(one => one.cpu)),
        retries: runs.reduce((sum, one) => sum + one.retries, 0)
      }
    })
  }
}

function median(values: readonly number[]): string {
  return spread(values).median.toFixed(2)
}
