// Starts the lab's processes and makes sure that none outlives it. Each leads a process group of its own, so that a
// Ctrl-C at the terminal reaches only the lab, which then ends them in order; and each holds a pipe from the lab
// (leash.ts): when the lab is killed outright, the pipe closes and the child ends itself.

import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface Child {
  readonly pid: number
  /** Settles when the process is gone and its output was read. */
  readonly ended: Promise<Ended>
  /** The last lines it wrote, for a person who has to find out why it ended. */
  readonly lastLines: () => readonly string[]
  /** Sends a signal to the process and all that it started. */
  readonly signal: (name: NodeJS.Signals) => void
  /** A JSON message from a child that was given a channel. */
  readonly message: (listener: (message: unknown) => void) => void
}

export interface Start {
  readonly file: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  /** A channel for messages beside the pipe. */
  readonly channel: 'messages' | 'none'
  readonly line: (line: string) => void
}

/** What is kept of a child's output. */
const LINES_MAX = 40
const LINE_CHARACTERS_MAX = 2_000

export function startChild({ file, args, env, cwd, channel, line }: Start): Child {
  const child = spawn(file, args, {
    cwd,
    env,
    detached: true,
    stdio: channel === 'messages' ? ['pipe', 'pipe', 'pipe', 'ipc'] : ['pipe', 'pipe', 'pipe']
  })
  const { pid } = child
  if (pid === undefined) {
    // spawn tells the reason by an event; without a listener Node would end the lab with a stack trace.
    return { pid: 0, ended: failure(child), lastLines: () => [], signal: () => {}, message: () => {} }
  }
  child.stdin?.on('error', () => {}) // the pipe carries nothing: its breaking says only that the child has ended
  const last: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue
    createInterface({ input: stream }).on('line', text => {
      const cut = text.slice(0, LINE_CHARACTERS_MAX)
      last.push(cut)
      if (last.length > LINES_MAX) last.shift()
      line(cut)
    })
  }
  let alive = true
  const ended = new Promise<Ended>(resolve => {
    child.once('close', (code, signal) => {
      alive = false
      resolve({ code, signal })
    })
  })
  return {
    pid,
    ended,
    lastLines: () => last,
    signal: name => {
      if (alive) signalGroup(pid, name)
    },
    message: listener => {
      child.on('message', listener)
    }
  }
}

/** Asks all of them to end, waits that long, and then does not ask any more. */
export async function stopChildren(children: readonly Child[], graceMs: number): Promise<void> {
  for (const child of children) child.signal('SIGTERM')
  const timer = setTimeout(() => {
    for (const child of children) child.signal('SIGKILL')
  }, graceMs)
  await Promise.all(children.map(({ ended }) => ended))
  clearTimeout(timer)
}

function signalGroup(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(-pid, name)
  } catch (error) {
    // ESRCH: it ended between the question and the signal, which is what was wanted.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function failure(child: ChildProcess): Promise<never> {
  return await new Promise((_resolve, reject) => {
    child.once('error', reject)
  })
}
