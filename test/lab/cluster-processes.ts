// Child processes of a lab: each logs to a file, all die with the lab, and with this process should it die first.
// Not here: what they are (cluster.ts).

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

export interface Processes {
  /** Starts a process that stays; its output goes to <folder>/<name>.log. */
  start(name: string, command: readonly string[]): void
  /** SIGKILL, and waits for its end. A name that does not run is no error. */
  kill(name: string): Promise<void>
  killAll(): Promise<void>
  /** Runs a command to its end; its stdout. Fails with its last lines. */
  run(command: readonly string[], timeoutMs?: number): Promise<string>
  /** Null while it runs; else how it ended, with the end of its log. */
  ended(name: string): string | null
  logOf(name: string): string
}

const runTimeoutMs = 60_000

/** `prefix` goes before every command, e.g. ip netns exec NAME. */
export function createProcesses(folder: string, prefix: readonly string[] = []): Processes {
  const running = new Map<string, ChildProcess>()
  const dieWithUs = () => {
    for (const child of running.values()) child.kill('SIGKILL')
  }
  process.on('exit', dieWithUs)

  function start(name: string, command: readonly string[]): void {
    // The kernel ends it with us however we end: a runner that loses patience sends SIGKILL.
    const [program, ...args] = [...prefix, 'setpriv', '--pdeathsig', 'KILL', ...command]
    const log = openSync(join(folder, `${name}.log`), 'a', 0o600)
    const child = spawn(program ?? '', args, { stdio: ['ignore', log, log], env: environment(folder) })
    closeSync(log)
    // An error event would otherwise end this process; `ended` tells the story.
    child.on('error', () => {})
    running.set(name, child)
  }

  async function kill(name: string): Promise<void> {
    const child = running.get(name)
    running.delete(name)
    if (child === undefined || hasEnded(child)) return
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
  }

  async function killAll(): Promise<void> {
    await Promise.all([...running.keys()].map(kill))
    process.off('exit', dieWithUs)
  }

  async function run(command: readonly string[], timeoutMs = runTimeoutMs): Promise<string> {
    const [program, ...args] = [...prefix, ...command]
    const options = { timeout: timeoutMs, killSignal: 'SIGKILL', env: environment(folder), maxBuffer: 1 << 22 } as const
    const { stdout } = await promisify(execFile)(program ?? '', args, options)
    return stdout
  }

  const logOf = (name: string) => readFileSync(join(folder, `${name}.log`), 'utf8')

  function ended(name: string): string | null {
    const child = running.get(name)
    if (child === undefined) return `${name} was not started`
    if (!hasEnded(child)) return null
    return `${name} ended (${child.exitCode ?? child.signalCode ?? 'not started'}):\n${logOf(name).slice(-2000)}`
  }

  return { start, kill, killAll, run, ended, logOf }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null || child.pid === undefined
}

function environment(home: string): NodeJS.ProcessEnv {
  return { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: home, LC_ALL: 'C' }
}
