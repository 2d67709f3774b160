// The server's receive path as it runs, but for the sockets: datagrams are handed in, answers are handed out. For tests
// with more packets than a socket takes.

import type { RemoteInfo } from 'node:dgram'
import type { Test } from 'tap'
import type { NewEvent } from '../../server/contract/event.ts'
import type { Lease } from '../../server/core/allocation.ts'
import { openBound } from '../../server/dhcp/bound/socket.ts'
import { createChains } from '../../server/dhcp/firmware/chains.ts'
import type { Context, Subnet } from '../../server/dhcp/context.ts'
import { type DhcpListener, type Heard, startListener } from '../../server/dhcp/listener/server.ts'
import { createLookout, type Lookout } from '../../server/dhcp/rivals/lookout/server.ts'
import type { DhcpDeps } from '../../server/dhcp/deps.ts'
import { readInterface } from '../../server/dhcp/socket.ts'
import { silentLog } from '../../server/log.ts'

export interface Answer {
  readonly bytes: Buffer
  readonly port: number
  readonly address: string
}

export interface Bench {
  readonly listener: DhcpListener
  readonly lookout: Lookout
  readonly events: NewEvent[]
  readonly counts: Map<string, number>
  /** What went wrong inside, which must be nothing. */
  readonly bugs: object[]
  /** Hands in one datagram; the answer is there when the store has kept what must be kept. */
  readonly hear: (
    bytes: Buffer,
    door?: Context['door'],
    peer?: Partial<RemoteInfo>,
    from?: Heard['from']
  ) => Promise<Answer | null>
}

export interface BenchOptions {
  readonly mode: 'authoritative' | 'proxy'
  readonly subnets: readonly Subnet[]
  readonly clock: { now: Date }
  readonly address?: string
  readonly save?: DhcpDeps['leases']['save']
  readonly saved?: (lease: Lease) => void
}

const peerOf: RemoteInfo = { address: '0.0.0.0', port: 68, family: 'IPv4', size: 0 }

export async function openBench(t: Test, options: BenchOptions): Promise<Bench> {
  const { mode, subnets, clock, address = '10.77.0.1', save = async () => undefined } = options
  const events: NewEvent[] = []
  const counts = new Map<string, number>()
  const bugs: object[] = []
  const now = () => clock.now
  const log = { ...silentLog, error: (event: string, fields: object = {}) => void bugs.push({ event, ...fields }) }
  const seen = (event: NewEvent) => void events.push(event)
  const lo = readInterface('lo')
  const own = { ...lo, address, netmask: '255.255.0.0', loopback: true }
  const lookout = createLookout({ mode, interfaces: [own], probeEveryMs: null }, { now, log, seen })
  const deps: DhcpDeps = {
    now,
    log,
    seen,
    count: (type, result) => counts.set(`${type} ${result}`, (counts.get(`${type} ${result}`) ?? 0) + 1),
    leases: { list: async () => [], save },
    loaderOf: () => 'ipxe'
  }
  const listener = await startListener(
    {
      mode,
      interface: own,
      places: { bootUrl: `http://${address}:8080`, secureUrl: null },
      ports: { server: 0, client: 68, proxy: 0 },
      subnets,
      chains: createChains(),
      isOurs: () => true,
      advertise: true,
      ways: { server: idleSocket(), proxy: idleSocket() }
    },
    { ...deps, lookout },
    { told: seen, alarm: () => undefined, sighted: async () => undefined }
  )
  t.teardown(() => listener.close())
  return {
    listener,
    lookout,
    events,
    counts,
    bugs,
    async hear(bytes, door = 'server', peer = {}, from = 'broadcast') {
      let answer: Answer | null = null
      const send = async (sent: Buffer, port: number, to: string): Promise<void> => {
        answer = { bytes: sent, port, address: to }
      }
      listener.receive({ bytes, door, peer: { ...peerOf, ...peer }, from }, send)
      await listener.idle()
      return answer
    }
  }
}

/** One that nobody speaks to: the server takes it for that of its own address. */
function idleSocket(): number {
  const handle = openBound({ device: 'lo', address: '127.0.0.1', port: 0 }, 'alone')
  if (handle === null) throw new Error('the system gives no socket that is bound to lo')
  return handle
}

/** Bytes of live objects, after everything else was collected. */
export async function liveBytes(): Promise<number> {
  const { setFlagsFromString } = await import('node:v8')
  const { runInNewContext } = await import('node:vm')
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  await new Promise(resolve => setImmediate(resolve))
  collect()
  return process.memoryUsage().heapUsed
}
