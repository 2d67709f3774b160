// The simulated programs of a machine: which there are, and what each does. kubeadm has a file of its own.

import { writeFile } from 'node:fs/promises'
import { getAgain, type Patience } from './http.ts'
import { enable } from './ignition.ts'
import { kubeadm } from './kubeadm.ts'
import { type Answer, complained, said } from './program-server.ts'
import { kernelOf, type MachineSpec } from './spec.ts'
import { enableUnit, refreshExtensions, startUnit, stopUnit, type System } from './system.ts'

/** Programs of a running machine. */
export async function runProgram(
  system: System,
  program: string,
  args: readonly string[],
  signal: AbortSignal
): Promise<Answer> {
  system.console(`$ ${program} ${args.join(' ')}`)
  switch (program) {
    case 'kubeadm':
      return await kubeadm(system, args, signal)
    case 'systemctl':
      return await systemctl(system, args)
    case 'systemd-sysext':
      return await sysext(system, args)
    case 'modprobe':
      return said('')
    default:
      return complained(127, `${program}: not simulated`)
  }
}

async function systemctl(system: System, args: readonly string[]): Promise<Answer> {
  const [verb = '', ...names] = args.filter(arg => !arg.startsWith('-'))
  const units = names.map(name => (name.includes('.') ? name : `${name}.service`))
  switch (verb) {
    case 'daemon-reload':
    case 'reset-failed':
      return said('')
    case 'enable':
      for (const unit of units) {
        await enableUnit(system, unit)
        if (args.includes('--now')) await startUnit(system, unit)
      }
      return said('')
    case 'start':
      for (const unit of units) await startUnit(system, unit)
      return said('')
    case 'restart':
      for (const unit of units) {
        await stopUnit(system, unit)
        await startUnit(system, unit)
      }
      return said('')
    case 'stop':
      for (const unit of units) await stopUnit(system, unit)
      return said('')
    case 'is-active': {
      const active = units.every(unit => system.running.has(unit))
      return active ? said('active') : complained(3, 'inactive')
    }
    default:
      return complained(1, `systemctl ${args.join(' ')}: not simulated`)
  }
}

async function sysext(system: System, args: readonly string[]): Promise<Answer> {
  switch (args[0]) {
    case 'refresh':
    case 'merge': {
      const version = await refreshExtensions(system)
      return said(
        version === null ? 'No extensions found (simulated)' : `Merged kubernetes ${version} into /usr (simulated)`
      )
    }
    case 'status':
      return said('HIERARCHY EXTENSIONS SINCE\n/usr      simulated  now')
    default:
      return complained(1, `systemd-sysext ${args.join(' ')}: not simulated`)
  }
}

export interface InstallerWorld {
  readonly spec: MachineSpec
  readonly sysroot: string
  readonly address: string
  readonly signal: AbortSignal
  readonly console: (line: string) => void
}

/** Programs that an installer's scripts start. */
export const installerPrograms = ['curl', 'uname', 'lsblk', 'wipefs', 'systemctl', 'udevadm', 'restorecon'] as const

export async function runInstallerProgram(
  { spec, sysroot, address, signal, console }: InstallerWorld,
  program: string,
  args: readonly string[]
): Promise<Answer> {
  console(`$ ${program} ${args.join(' ')}`)
  switch (program) {
    case 'curl':
      return await curl(args, address, signal)
    case 'uname':
      return said(args[0] === '-r' ? kernelOf(spec) : spec.arch === 'arm64' ? 'aarch64' : 'x86_64')
    case 'lsblk':
      if (args.at(-1) !== '/dev/disk/by-id/virtio-lab')
        return complained(32, `lsblk: ${args.at(-1)}: not a block device`)
      return said(args.includes('--list') ? 'vda' : 'NAME MAJ:MIN RM  SIZE RO TYPE\nvda  253:0    0  100G  0 disk')
    case 'systemctl': {
      const [verb = '', ...units] = args.filter(arg => !arg.startsWith('-'))
      if (verb !== 'enable') return complained(1, `systemctl ${verb} of a system that does not run: not simulated`)
      for (const unit of units) await enable(sysroot, unit)
      return said('')
    }
    default:
      return said('') // wipefs: a blank disk has no signatures; the others have nothing to do here
  }
}

/** curl [--fail] [--retry N [--retry-all-errors]] [--silent] [--show-error] [--data JSON] [--output FILE] URL. */
async function curl(args: readonly string[], address: string, signal: AbortSignal): Promise<Answer> {
  const valueOf = (option: string): string | undefined => {
    const at = args.indexOf(option)
    return at === -1 ? undefined : args[at + 1]
  }
  const url = args.find(arg => arg.startsWith('http://'))
  if (url === undefined) return complained(2, 'curl: no plain http URL given; no other is simulated')
  const patience: Patience = {
    attempts: Number(valueOf('--retry') ?? 0),
    waitMs: attempt => Math.min(RETRY_MS * 2 ** (attempt - 1), RETRY_MS_MAX),
    retries: args.includes('--retry-all-errors') ? 'all' : 'answers'
  }
  const data = valueOf('--data')
  const post = data === undefined ? {} : { body: data, headers: { 'content-type': 'application/json' } }
  const body = await getAgain(url, { address, userAgent: 'curl/8.12 (simulated)', signal, ...post }, patience)
  const file = valueOf('--output')
  if (file === undefined) return said(body.toString('utf8'))
  await writeFile(file, body)
  return said('')
}

/** As curl, a second and twice as long each time; the lab goes on sooner when the server is back. */
const RETRY_MS = 1_000
const RETRY_MS_MAX = 8_000
