// The wire side by side with its peers, in one run: TFTP, DHCP, large assets, and a rack that boots all at once. Servers
// and clients are processes of their own in two namespaces of the bench (root). What a peer is not installed for is said.
// node test/bench/main.ts wire [--json] [--only tftp|dhcp|http|storm] [--runs N] [--machines N]

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { measureDhcp, measureGrowth } from './wire/dhcp.ts'
import { type Row, show } from './wire/figures.ts'
import { measureHttp } from './wire/http.ts'
import { openWire, type Wire } from './wire/network.ts'
import { findPeer, type PeerName, peers, remedyFor, versionOf } from './wire/servers.ts'
import { measureStorm } from './wire/storm.ts'
import { measureTftp } from './wire/tftp.ts'

export interface Plan {
  readonly runs: number
  readonly machines: number
  /** Those that are installed, with their versions. */
  readonly versions: ReadonlyMap<PeerName, string>
  readonly told: (row: Row) => void
}

const parts: Readonly<Record<string, (wire: Wire, plan: Plan) => Promise<void>>> = {
  tftp: measureTftp,
  dhcp: async (wire, plan) => {
    await measureDhcp(wire, plan)
    await measureGrowth(wire, plan)
  },
  http: measureHttp,
  storm: measureStorm
}

export async function bench(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      json: { type: 'boolean', default: false },
      only: { type: 'string' },
      runs: { type: 'string', default: '5' },
      machines: { type: 'string', default: '200' }
    }
  })
  const chosen = values.only === undefined ? Object.keys(parts) : [values.only]
  const unknown = chosen.find(name => parts[name] === undefined)
  if (unknown !== undefined || process.getuid?.() !== 0) {
    const why = unknown === undefined ? 'namespaces need root' : `--only takes ${Object.keys(parts).join(', ')}`
    process.stderr.write(`${why}\n`)
    process.exitCode = 2
    return
  }
  const names = Object.keys(peers) as PeerName[]
  const missing = names.filter(name => findPeer(name) === null)
  if (missing.length > 0) process.stderr.write(`${remedyFor(missing)}\n`)
  const versions = new Map(names.filter(name => !missing.includes(name)).map(name => [name, versionOf(name)]))
  const rows: Row[] = []
  const told = (row: Row): void => {
    rows.push(row)
    if (!values.json) process.stdout.write(`${show(row)}\n`)
  }
  const plan: Plan = { runs: Number(values.runs), machines: Number(values.machines), versions, told }
  const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-'))
  try {
    for (const name of chosen) await within(folder, name, plan)
  } finally {
    if (process.env['SLIPWAY_BENCH_KEEP'] === undefined) rmSync(folder, { recursive: true, force: true })
  }
  if (values.json) process.stdout.write(`${JSON.stringify({ wire: rows, missing })}\n`)
}

/** Each part has a wire of its own: no neighbour tables or half-closed connections of another one. */
async function within(folder: string, name: string, plan: Plan): Promise<void> {
  const wire = openWire(folder)
  try {
    await parts[name]!(wire, plan)
  } finally {
    await wire.close()
  }
}
