// The life of one simulated machine, from its power button on: netboot, install, reboot, boot from the disk, run. What
// goes wrong stands on its console and it starts over, as a machine with a watchdog would.

import { appendFile, mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Child } from '../children.ts'
import type { Ports } from '../documents.ts'
import type { Cluster } from './cluster.ts'
import { netboot } from './firmware.ts'
import { pause } from './http.ts'
import { install } from './installer.ts'
import { writeLauncher, type Answer } from './program-server.ts'
import { installerPrograms, runInstallerProgram, runProgram } from './programs.ts'
import type { MachineSpec } from './spec.ts'
import { boot, powerOff, type System } from './system.ts'

export type Stage =
  | 'off'
  | 'power-on'
  | 'address'
  | 'boot program'
  | 'boot script'
  | 'waiting'
  | 'installing'
  | 'rebooting'
  | 'local disk'
  | 'starting'
  | 'running'
  | 'stuck'

export interface MachineDeps {
  readonly spec: MachineSpec
  readonly ports: Ports
  /** Everything of this machine lies in it. */
  readonly folder: string
  /** Plain tools for an installer's scripts. */
  readonly tools: string
  /** Where the simulated programs call. */
  readonly socket: string
  readonly cluster: Cluster
  readonly signal: AbortSignal
  readonly stage: (stage: Stage, detail: string) => void
  readonly addressed: (address: string) => void
  readonly started: (child: Child) => void
}

export interface Machine {
  readonly spec: MachineSpec
  /** Never settles well: a machine runs until the lab's signal aborts. */
  readonly life: Promise<void>
  readonly call: (program: string, args: readonly string[], signal: AbortSignal) => Promise<Answer>
  /** The last lines of its console. */
  readonly lastLines: () => readonly string[]
  /** The process of its agent; null while there is none. */
  readonly agent: () => Child | null
}

interface State {
  address: string
  installed: boolean
  system: System | null
}

const LINES_MAX = 40
/** Between a failed boot and the next try. */
const AGAIN_MS = 1_000

export function powerOn(deps: MachineDeps): Machine {
  const lines: string[] = []
  const state: State = { address: '', installed: false, system: null }
  const console = createConsole(join(deps.folder, 'console.log'), lines)
  return {
    spec: deps.spec,
    life: live(deps, state, console),
    call: async (program, args, signal) => {
      const { system } = state
      if (system !== null) return await runProgram(system, program, args, signal)
      const sysroot = join(deps.folder, 'disk')
      return await runInstallerProgram(
        { spec: deps.spec, sysroot, address: state.address, signal, console },
        program,
        args
      )
    },
    lastLines: () => lines,
    agent: () => state.system?.agent ?? null
  }
}

/** Lines are kept for a person, and written beside the disk: one write after the other. */
function createConsole(file: string, lines: string[]): (line: string) => void {
  let writing = Promise.resolve()
  return line => {
    lines.push(line)
    if (lines.length > LINES_MAX) lines.shift()
    // The folder goes away when the lab ends; a line that comes later has nowhere to be.
    writing = writing.then(async () => await appendFile(file, `${line}\n`)).catch(() => {})
  }
}

async function live(deps: MachineDeps, state: State, console: (line: string) => void): Promise<void> {
  const { signal, folder } = deps
  await mkdir(folder, { recursive: true })
  await prepareInstaller(deps)
  try {
    for (;;) {
      try {
        await start(deps, state, console)
      } catch (error) {
        signal.throwIfAborted()
        const { message } = error as Error
        console(message)
        deps.stage('stuck', message)
        await pause(AGAIN_MS, signal)
      }
    }
  } finally {
    if (state.system !== null) await powerOff(state.system)
  }
}

/** The bin folder of the installer: simulated programs and a few plain tools. */
async function prepareInstaller({ spec, folder, tools, socket }: MachineDeps): Promise<void> {
  const bin = join(folder, 'installer')
  for (const program of installerPrograms) await writeLauncher(join(bin, program), socket, spec.name, program)
  await symlink(tools, join(folder, 'tools'))
}

/** Once from power-on to whatever follows. Returns to be started again; rejects with what stood on the screen. */
async function start(deps: MachineDeps, state: State, console: (line: string) => void): Promise<void> {
  const { address, outcome } = await netboot({
    ...deps,
    diskBoots: state.installed,
    console,
    stage: (stage, detail) => deps.stage(stage, detail),
    addressed: given => {
      state.address = given
      deps.addressed(given)
    }
  })
  state.address = address
  switch (outcome.kind) {
    case 'boot':
      return await runInstaller(deps, state, outcome.arguments, console)
    case 'disk':
      return await runDisk(deps, state, console)
    case 'exit':
      // Firmware goes on with the next entry of its boot order: the disk, when there is a system on it.
      if (state.installed) return await runDisk(deps, state, console)
      throw new Error('no bootable device')
    case 'reboot':
      return deps.stage('rebooting', 'iPXE said so')
    case 'failed':
      throw new Error(`iPXE: ${outcome.reason}`)
  }
}

async function runInstaller(
  deps: MachineDeps,
  state: State,
  kernelArguments: readonly string[],
  console: (line: string) => void
): Promise<void> {
  const { spec, folder, signal, stage } = deps
  stage('installing', spec.system)
  const kind = await install({
    spec,
    address: state.address,
    arguments: kernelArguments,
    disk: join(folder, 'disk'),
    temporary: join(folder, 'tmp'),
    path: `${join(folder, 'installer')}:${join(folder, 'tools')}`,
    signal,
    console
  })
  state.installed = true
  stage('rebooting', `${spec.system} installed by ${kind}`)
}

async function runDisk(deps: MachineDeps, state: State, console: (line: string) => void): Promise<void> {
  const { spec, folder, socket, cluster, signal, stage, started } = deps
  stage('local disk', spec.system)
  state.system = await boot({
    spec,
    root: join(folder, 'disk'),
    address: state.address,
    socket,
    cluster,
    signal,
    console,
    started
  })
  stage('running', `${spec.system} runs its agent`)
  await aborted(signal)
}

async function aborted(signal: AbortSignal): Promise<never> {
  signal.throwIfAborted()
  return await new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
}
