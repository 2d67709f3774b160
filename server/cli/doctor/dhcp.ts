// Other DHCP servers on this network: heard, never asked for. The listening is done by npm's dhcp in a process of its
// own, since that package stops at some packets and prints about others.

import { spawn } from 'node:child_process'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { bad, type Finding, note, ok } from './finding.ts'

/** A line of the listening process. */
export type Heard =
  | { kind: 'listening' }
  | { kind: 'server'; address: string; mac: string }
  | { kind: 'failed'; why: string }

/** More lines than any network has servers: then we have heard enough. */
const LINES_MAX = 10_000

export async function otherDhcpServers(
  ports: { server: number; client: number },
  ownAddress: string,
  seconds: number,
  expected: readonly string[] = []
): Promise<Finding> {
  const heard = await listen(ports, seconds)
  const failed = heard.find(({ kind }) => kind === 'failed')
  if (failed?.kind === 'failed') return note('other DHCP servers', `could not listen: ${failed.why}`)
  // Beside a proxy somebody else gives the addresses: the server knows whom it has seen do so (network.ts).
  const own = new Set([ownAddress, ...ownAddresses(), ...expected])
  const others = new Set(
    heard.flatMap(line => (line.kind === 'server' && !own.has(line.address) ? [line.address] : []))
  )
  const beside = expected.length === 0 ? 'none' : `none but ${expected.join(', ')}, which is expected,`
  if (others.size === 0) return ok('other DHCP servers', `${beside} heard in ${seconds} s`)
  const list = [...others].join(', ')
  return bad(
    'other DHCP servers',
    `${list} answers here too; if it is not the one you know, it may win the race to boot`
  )
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap(list => (list ?? []).map(({ address }) => address))
}

/** What the process heard until its time was over. */
async function listen({ server, client }: { server: number; client: number }, seconds: number): Promise<Heard[]> {
  const program = join(import.meta.dirname, 'dhcp-listener.ts')
  const child = spawn(process.execPath, [program, String(server), String(client)], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: {}
  })
  const heard: Heard[] = []
  let timer: ReturnType<typeof setTimeout> | null = null
  for await (const line of createInterface({ input: child.stdout })) {
    const said = JSON.parse(line) as Heard
    heard.push(said)
    if (said.kind === 'failed' || heard.length >= LINES_MAX) child.kill('SIGKILL')
    else timer ??= setTimeout(() => child.kill('SIGKILL'), seconds * 1000)
  }
  if (timer !== null) clearTimeout(timer)
  return heard
}
