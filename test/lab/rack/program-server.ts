// The rack's end of the simulated programs: one unix socket, one line of JSON in, one answer out. It also writes the
// launchers that stand for the programs on a machine's disk.

import { chmod, mkdir, rename, writeFile } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'

export interface Call {
  readonly machine: string
  readonly program: string
  readonly args: readonly string[]
}

export interface Answer {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export function said(stdout: string): Answer {
  return { code: 0, stdout: stdout === '' || stdout.endsWith('\n') ? stdout : `${stdout}\n`, stderr: '' }
}

export function complained(code: number, stderr: string): Answer {
  return { code, stdout: '', stderr: `${stderr}\n` }
}

/** Answers calls until closed. An answer that throws is the program's failure, told on its standard error. */
export async function servePrograms(
  path: string,
  answer: (call: Call, signal: AbortSignal) => Promise<Answer>
): Promise<{ close(): Promise<void> }> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, socket => {
    sockets.add(socket)
    const gone = new AbortController()
    socket.on('close', () => {
      sockets.delete(socket)
      gone.abort()
    })
    socket.on('error', () => socket.destroy()) // the program was killed
    const lines = createInterface({ input: socket })
    lines.on('error', () => undefined) // the same, told once more
    lines.once('line', line => {
      answerLine(line, answer, gone.signal).then(
        reply => socket.end(JSON.stringify(reply)),
        () => socket.destroy()
      )
    })
  })
  server.listen(path)
  await listening(server)
  return {
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>(resolve => server.close(() => resolve()))
    }
  }
}

async function answerLine(
  line: string,
  answer: (call: Call, signal: AbortSignal) => Promise<Answer>,
  signal: AbortSignal
): Promise<Answer> {
  const call = JSON.parse(line) as Call
  try {
    return await answer(call, signal)
  } catch (error) {
    return complained(1, `${call.program}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

async function listening(server: Server): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('listening', resolve)
    server.once('error', reject)
  })
}

/**
 * Writes an executable at `file` that calls the rack as `program` of `machine`. One that belongs to a version of
 * Kubernetes says that version by itself: the agent asks for it all the time, and a shell is quicker than Node.
 */
export async function writeLauncher(
  file: string,
  socket: string,
  machine: string,
  program: string,
  version?: string
): Promise<void> {
  const said = version === undefined ? '' : `[ "$1" = --version ] && echo 'Kubernetes ${version}' && exit 0\n`
  await writeProgram(file, socket, machine, program, said)
}

/** systemctl, which likewise answers the agent's usual question by itself: a unit's process number. */
export async function launchSystemctl(file: string, socket: string, machine: string, pids: string): Promise<void> {
  const shown = `if [ "$1 $2 $3 $4" = 'show -p MainPID --value' ]; then
  pid=0
  name="\${5%.service}"
  [ -r ${quote(pids)}"/$name" ] && read -r pid < ${quote(pids)}"/$name"
  echo "$pid"
  exit 0
fi
`
  await writeProgram(file, socket, machine, 'systemctl', shown)
}

async function writeProgram(file: string, socket: string, machine: string, program: string, first: string) {
  const script = join(import.meta.dirname, '..', 'programs', 'program.ts')
  const words = [process.execPath, script, socket, machine, program].map(quote).join(' ')
  await mkdir(dirname(file), { recursive: true })
  await writeFile(
    `${file}.part`,
    `#!/bin/sh\n# Simulated ${program} of a simulated machine.\n${first}exec ${words} "$@"\n`
  )
  await chmod(`${file}.part`, 0o755)
  await rename(`${file}.part`, file)
}

/** A word that the shell takes as it is. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
