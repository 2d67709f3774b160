// The server as a child of the lab: started, waited for, ended in order, and for tests killed and started again.

import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault } from '../../server/core/fault.ts'
import { type Child, startChild, stopChildren } from './children.ts'
import type { Folder } from './folder.ts'
import type { Ports } from './documents.ts'

/** What the child says when all its sockets are open. */
export interface ServerReady {
  readonly type: 'ready'
  readonly urls: { readonly boot: string; readonly control: string; readonly page: string | null }
  readonly adminToken: string
  /** Opens one session of the page. */
  readonly code: string
}

export interface ServerProcess {
  readonly ready: ServerReady
  /** SIGKILL, and a new one in its place. */
  readonly killAndRestart: () => Promise<void>
  /** SIGTERM; the exit status, null when it had to be killed. */
  readonly close: () => Promise<number | null>
}

/** From a cold start on a busy machine; longer means that it hangs. */
const START_MS = 30_000
const CLOSE_MS = 5_000

export interface ServerDeps {
  readonly folder: Folder
  readonly ports: Ports
  readonly signal: AbortSignal
  readonly started: (child: Child) => void
  /** It ended, and nobody asked it to. */
  readonly failed: (error: Error) => void
}

export async function startServerProcess(deps: ServerDeps): Promise<ServerProcess> {
  let { child, ready } = await start(deps)
  let wanted: 'running' | 'restarting' | 'closed' = 'running'
  const supervise = (one: Child): void => {
    one.ended.then(
      ({ code, signal }) => {
        if (wanted !== 'running' || deps.signal.aborted) return
        deps.failed(new Fault('unavailable', `the server ended by itself (${signal ?? code}): ${lastWords(one)}`))
      },
      (error: Error) => deps.failed(error)
    )
  }
  supervise(child)
  return {
    get ready() {
      return ready
    },
    killAndRestart: async () => {
      wanted = 'restarting'
      child.signal('SIGKILL')
      await child.ended
      ;({ child, ready } = await start(deps))
      wanted = 'running'
      supervise(child)
    },
    close: async () => {
      wanted = 'closed'
      await stopChildren([child], CLOSE_MS)
      return (await child.ended).code
    }
  }
}

async function start({ folder, ports, signal, started }: ServerDeps): Promise<{ child: Child; ready: ServerReady }> {
  signal.throwIfAborted()
  let writing = Promise.resolve()
  const child = startChild({
    file: process.execPath,
    args: [
      '--disable-warning=ExperimentalWarning',
      join(import.meta.dirname, 'server.ts'),
      folder.config,
      String(ports.page)
    ],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', HOME: folder.path, TMPDIR: folder.path },
    cwd: folder.path,
    channel: 'messages',
    line: line => {
      // The folder goes when the lab ends; the last lines may come too late for it.
      writing = writing.then(async () => await appendFile(folder.log, `${line}\n`)).catch(() => {})
    }
  })
  started(child)
  const timeout = AbortSignal.any([signal, AbortSignal.timeout(START_MS)])
  const ready = await new Promise<ServerReady>((resolve, reject) => {
    const late = (): void => {
      child.signal('SIGKILL')
      reject(
        signal.aborted
          ? (signal.reason as Error)
          : new Fault('unavailable', `the server did not start: ${lastWords(child)}`)
      )
    }
    if (timeout.aborted) return late()
    timeout.addEventListener('abort', late, { once: true })
    child.message(message => {
      timeout.removeEventListener('abort', late)
      resolve(message as ServerReady)
    })
    child.ended.then(({ code }) => {
      timeout.removeEventListener('abort', late)
      reject(new Fault('unavailable', `the server ended with ${code} before it was ready: ${lastWords(child)}`))
    }, reject)
  })
  return { child, ready }
}

function lastWords(child: Child): string {
  const lines = child.lastLines()
  return lines.length === 0 ? '(it said nothing)' : lines.slice(-5).join('\n  ')
}
