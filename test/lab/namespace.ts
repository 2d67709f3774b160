// A network of the lab's own: one namespace with a bridge, processes inside it, all of it gone at close() or at the
// death of this process. Needs root. Left out: anything that reaches the machine's own network.

import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'

export interface Ran {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

export interface Background {
  readonly name: string
  readonly pid: number
  /** What it has written so far, both streams. */
  output(): string
  /** Sends the signal and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<void>
  /** Resolves at the end with the status, or the signal's name. */
  readonly ended: Promise<number | string>
}

export interface Namespace {
  readonly name: string
  /** Runs one program inside, to its end. */
  run(file: string, args: readonly string[], options?: RunOptions): Promise<Ran>
  /** Starts a program inside, its output to a log file. */
  start(name: string, file: string, args: readonly string[], options: StartOptions): Background
  close(): Promise<void>
}

export interface RunOptions {
  readonly input?: string
  readonly env?: Record<string, string>
  readonly timeoutMs?: number
}

export interface StartOptions {
  readonly log: string
  readonly env?: Record<string, string>
  readonly cwd?: string
}

const RUN_TIMEOUT_MS = 60_000
const OUTPUT_MAX_BYTES = 64 * 1024 * 1024

/** Makes namespace slipway-<area>-<pid> with bridge br0 holding `address` (a /24), no way out of it. */
export async function createNamespace(area: string, address: string): Promise<Namespace> {
  sweep(area)
  const name = `slipway-${area}-${process.pid}`
  const background = new Set<Background>()
  const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' })
  const abandon = (): void => removeNamespace(name)
  process.once('exit', abandon)
  const interrupted = (): never => process.exit(1)
  process.once('SIGTERM', interrupted)
  process.once('SIGINT', interrupted)

  ip('netns', 'add', name)
  ip('-n', name, 'link', 'set', 'lo', 'up')
  ip('-n', name, 'link', 'add', 'br0', 'type', 'bridge', 'stp_state', '0', 'forward_delay', '0')
  ip('-n', name, 'link', 'set', 'br0', 'address', '52:54:00:51:00:01')
  ip('-n', name, 'addr', 'add', `${address}/24`, 'dev', 'br0')
  ip('-n', name, 'link', 'set', 'br0', 'up')
  // A bridge without a running port has no carrier, and Node does not list an interface without one: a cable to nowhere.
  ip('-n', name, 'link', 'add', 'cable0', 'type', 'vxlan', 'id', '1', 'dstport', '4789')
  ip('-n', name, 'link', 'set', 'cable0', 'master', 'br0', 'up')

  return {
    name,
    run: (file, args, options = {}) => run(['ip', 'netns', 'exec', name, file, ...args], options),
    start(title, file, args, options) {
      const started = start(title, ['ip', 'netns', 'exec', name, file, ...args], options)
      background.add(started)
      return started
    },
    async close() {
      for (const process of [...background].reverse()) await process.stop('SIGTERM')
      removeNamespace(name)
      process.off('exit', abandon)
      process.off('SIGTERM', interrupted)
      process.off('SIGINT', interrupted)
    }
  }
}

/** Adds a tap for a guest to the bridge. */
export async function addTap(namespace: Namespace, tap: string): Promise<void> {
  const commands = [
    ['tuntap', 'add', 'dev', tap, 'mode', 'tap'],
    ['link', 'set', tap, 'master', 'br0', 'up']
  ]
  for (const args of commands) {
    const { exitCode, stderr } = await namespace.run('ip', args)
    if (exitCode !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
  }
}

function run(command: readonly string[], { input = '', env, timeoutMs = RUN_TIMEOUT_MS }: RunOptions): Promise<Ran> {
  const [file = '', ...args] = command
  return new Promise(resolve => {
    const options = {
      env: { ...process.env, ...env },
      timeout: timeoutMs,
      killSignal: 'SIGKILL' as const,
      maxBuffer: OUTPUT_MAX_BYTES
    }
    const child = execFile(file, args, options, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : typeof error.code === 'number' ? error.code : 255
      resolve({ exitCode, stdout, stderr: stderr === '' && error !== null ? error.message : stderr })
    })
    child.stdin?.on('error', () => {
      // It ended without reading all of its input: its exit status says how that went.
    })
    child.stdin?.end(input)
  })
}

function start(name: string, command: readonly string[], { log, env, cwd }: StartOptions): Background {
  const [file = '', ...args] = command
  const fd = openSync(log, 'a')
  const child = spawn(file, args, { stdio: ['ignore', fd, fd], env: { ...process.env, ...env }, cwd })
  closeSync(fd)
  const ended = new Promise<number | string>((resolve, reject) => {
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 'unknown'))
    child.once('error', reject)
  })
  return {
    name,
    pid: child.pid ?? -1,
    ended,
    output: () => readFileSync(log, 'utf8'),
    stop: signal => stop(child, ended, signal ?? 'SIGTERM')
  }
}

const STOP_PATIENCE_MS = 10_000

async function stop(child: ChildProcess, ended: Promise<unknown>, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill(signal)
  const impatient = setTimeout(() => child.kill('SIGKILL'), STOP_PATIENCE_MS)
  await ended
  clearTimeout(impatient)
}

/** Ends whatever runs in the namespace and deletes it: for teardown, also from an exit handler. */
export function removeNamespace(name: string): void {
  const list = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' })
  if (!list.split('\n').some(line => line.split(' ')[0] === name)) return
  for (const pid of execFileSync('ip', ['netns', 'pids', name], { encoding: 'utf8' }).split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error // it ended by itself in between
    }
  }
  execFileSync('ip', ['netns', 'del', name])
}

/** Removes what an earlier run left behind when it was killed outright. */
function sweep(area: string): void {
  const list = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' })
  for (const [name, pid] of list.matchAll(new RegExp(`^slipway-${area}-([0-9]+)`, 'gm'))) {
    if (!alive(Number(pid))) removeNamespace(name)
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false // a question, not a failure
  }
}
