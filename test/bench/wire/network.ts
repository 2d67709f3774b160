// A wire of the bench's own: two namespaces joined by a pair of interfaces, servers in one and clients in the other, no
// way out of either. Each program is a process of its own, so that what a server costs is read from /proc.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { removeNamespace } from '../../lab/namespace.ts'

export const SERVER = '10.76.0.1'
/** Of the peers that run at the same time as Slipway. */
export const PEERS = { atftpd: '10.76.0.11', 'tftpd-hpa': '10.76.0.12', dnsmasq: '10.76.0.13' } as const
export const RELAY = '10.76.0.2'
export const SUBNET = '10.76.0.0/15'
/** Every address of the upper half is the clients': each simulated machine speaks from its own. */
export const POOL = { first: '10.77.0.1', last: '10.77.255.250' }
export const INTERFACE = 'bench0'

export interface Program {
  readonly pid: number
  /** User and system time of the process, its threads and its children, in seconds. */
  readonly cpu: () => number
  readonly residentMB: () => number
  readonly stop: () => Promise<void>
}

export interface Wire {
  readonly folder: string
  /** Gives the servers' side one more address, for a peer that runs beside Slipway. */
  readonly addAddress: (address: string) => void
  readonly start: (name: string, command: readonly string[]) => Program
  /** Runs one client program to its end; what it prints is JSON. */
  readonly load: (file: string, input: object) => Promise<unknown>
  readonly close: () => Promise<void>
}

const LOAD_MS_MAX = 120_000

export function openWire(folder: string): Wire {
  const server = `slipway-bench-${process.pid}`
  const clients = `${server}-clients`
  const running = new Set<Program>()
  const abandon = (): void => [server, clients].forEach(name => removeNamespace(name))
  process.once('exit', abandon)
  const interrupted = (): never => process.exit(1)
  process.once('SIGINT', interrupted)
  process.once('SIGTERM', interrupted)
  for (const name of [server, clients]) {
    ip('netns', 'add', name)
    ip('-n', name, 'link', 'set', 'lo', 'up')
  }
  ip('-n', server, 'link', 'add', INTERFACE, 'type', 'veth', 'peer', 'name', 'bench1', 'netns', clients)
  ip('-n', server, 'addr', 'add', `${SERVER}/15`, 'brd', '+', 'dev', INTERFACE)
  ip('-n', clients, 'addr', 'add', `${RELAY}/15`, 'brd', '+', 'dev', 'bench1')
  ip('-n', server, 'link', 'set', INTERFACE, 'up')
  ip('-n', clients, 'link', 'set', 'bench1', 'up')
  ip('-n', clients, 'route', 'add', 'local', '10.77.0.0/16', 'dev', 'lo')
  // What a rack of a thousand neighbours needs: the default of 1,024 would be this kernel's limit, not a server's.
  for (const name of [server, clients]) {
    const set = 'for n in 1 2 3; do echo 65536 >/proc/sys/net/ipv4/neigh/default/gc_thresh$n; done 2>/dev/null; :'
    execFileSync('ip', ['netns', 'exec', name, 'sh', '-c', set])
  }

  function start(name: string, command: readonly string[]): Program {
    const log = openSync(join(folder, `${name}.log`), 'a')
    const child = spawn('ip', ['netns', 'exec', server, ...command], { stdio: ['ignore', log, log], cwd: folder })
    closeSync(log)
    const program = programOf(child)
    running.add(program)
    return program
  }

  return {
    folder,
    addAddress: address => ip('-n', server, 'addr', 'add', `${address}/15`, 'dev', INTERFACE),
    start,
    load: (file, input) => load(clients, file, input),
    async close() {
      for (const program of running) await program.stop()
      abandon()
      process.off('exit', abandon)
      process.off('SIGINT', interrupted)
      process.off('SIGTERM', interrupted)
    }
  }
}

async function load(namespace: string, file: string, input: object): Promise<unknown> {
  const path = join(import.meta.dirname, file)
  const args = ['netns', 'exec', namespace, process.execPath, '--disable-warning=ExperimentalWarning', path]
  const child = spawn('ip', [...args, JSON.stringify(input)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: LOAD_MS_MAX,
    killSignal: 'SIGKILL'
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`${file} ended with ${code}: ${text.slice(0, 500)}`)
  return JSON.parse(text) as unknown
}

function programOf(child: ChildProcess): Program {
  const pid = child.pid ?? -1
  let ended = false
  const isOver = once(child, 'exit').then(() => (ended = true))
  return {
    pid,
    cpu: () => {
      if (ended) throw new Error(`the server that was measured (process ${pid}) has ended: see its log`)
      return familyOf(pid).reduce((sum, one) => sum + ticksOf(one), 0) / 100 // USER_HZ
    },
    residentMB: () => familyOf(pid).reduce((sum, one) => sum + statusOf(one, 'VmRSS'), 0) / 1000,
    async stop() {
      if (ended) return
      child.kill('SIGTERM')
      await Promise.race([isOver, wait(5_000)])
      if (!ended) child.kill('SIGKILL')
      await isOver
    }
  }
}

/** The process and its children; those that ended are in the parent's own figures. */
function familyOf(pid: number): number[] {
  const parents = readdirSync('/proc').filter(name => /^\d+$/.test(name))
  return [pid, ...parents.map(Number).filter(one => statusOf(one, 'PPid') === pid)]
}

function ticksOf(pid: number): number {
  const text = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, 'utf8') : ''
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at] ?? 0), 0) // utime, stime, cutime, cstime
}

function statusOf(pid: number, key: string): number {
  try {
    const text = readFileSync(`/proc/${pid}/status`, 'utf8')
    return Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0)
  } catch {
    return 0 // it ended between the look at /proc and this one
  }
}

function ip(...args: string[]): void {
  execFileSync('ip', args)
}
