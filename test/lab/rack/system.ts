// The operating system of a simulated machine: a folder that is its disk, the units that systemd would start, and the
// little of systemd that the agent asks for. The agent is real and a process of its own; the kubelet is kubelet.ts.

import { mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type Child, startChild } from '../children.ts'
import type { Cluster } from './cluster.ts'
import { getAgain, patient, pause } from './http.ts'
import { applyIgnition, enable } from './ignition.ts'
import { IGNITION_CONFIG } from './installer.ts'
import { type Kubelet, startKubelet } from './kubelet.ts'
import { launchSystemctl, writeLauncher } from './program-server.ts'
import { type MachineSpec, systemFiles } from './spec.ts'

export interface SystemDeps {
  readonly spec: MachineSpec
  /** The disk. */
  readonly root: string
  readonly address: string
  readonly socket: string
  readonly cluster: Cluster
  readonly signal: AbortSignal
  readonly console: (line: string) => void
  /** Every process that is started, so that the lab can end it whatever happens here. */
  readonly started: (child: Child) => void
}

export interface System extends SystemDeps {
  /** Running units: the agent's process, the kubelet; containerd and its like are only said to run. */
  readonly running: Set<string>
  kubelet: Kubelet | null
  agent: Child | null
  nextPid: number
}

/** Where the programs of this machine lie, for its agent. */
export function programPath(root: string): string {
  return ['usr/sbin', 'usr/bin', 'usr/local/bin'].map(folder => join(root, folder)).join(':')
}

/** Starts from the disk: the first boot applies the Ignition config, every boot starts the enabled units. */
export async function boot(deps: SystemDeps): Promise<System> {
  const { root, spec, socket, address, signal, console } = deps
  for (const [path, text] of Object.entries(systemFiles(spec))) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), text)
  }
  await rm(join(root, 'run'), { recursive: true, force: true })
  await mkdir(join(root, 'run'), { recursive: true })
  for (const program of ['usr/bin/systemd-sysext', 'usr/sbin/modprobe']) {
    await writeLauncher(join(root, program), socket, spec.name, program.split('/').at(-1)!)
  }
  await launchSystemctl(join(root, 'usr/bin/systemctl'), socket, spec.name, pidFolder(root))
  const config = await readFile(join(root, IGNITION_CONFIG), 'utf8').catch(() => null)
  if (config !== null) {
    const from = { address, userAgent: 'Ignition/2.24.0 (simulated)', signal }
    await applyIgnition(config, root, async url => await getAgain(url, from, patient))
    await rm(join(root, IGNITION_CONFIG))
    console('ignition: applied the config')
  }
  const system: System = { ...deps, running: new Set(), kubelet: null, agent: null, nextPid: 1_000 }
  const wants = join(root, 'etc/systemd/system/multi-user.target.wants')
  for (const unit of (await readdir(wants)).toSorted()) await startUnit(system, unit)
  return system
}

export async function startUnit(system: System, unit: string): Promise<void> {
  if (system.running.has(unit)) return
  system.running.add(unit)
  system.console(`systemd: started ${unit}`)
  if (unit === 'kubelet.service') await runKubelet(system)
  else if (unit === 'systemd-sysext.service') await refreshExtensions(system)
  else if (unit === 'slipway-agent.service') {
    const file = await readFile(join(system.root, 'etc/systemd/system', unit), 'utf8')
    keepRunning(system, unit, file)
  }
}

export async function stopUnit(system: System, unit: string): Promise<void> {
  system.running.delete(unit)
  if (unit !== 'kubelet.service' || system.kubelet === null) return
  await system.kubelet.stop()
  system.kubelet = null
  await rm(join(pidFolder(system.root), 'kubelet'), { force: true })
}

export async function enableUnit(system: System, unit: string): Promise<void> {
  await enable(system.root, unit)
}

/** Ends all that runs on the machine, as a power cut would. */
export async function powerOff(system: System): Promise<void> {
  system.running.clear()
  await stopUnit(system, 'kubelet.service')
  if (system.agent === null) return
  system.agent.signal('SIGKILL')
  await system.agent.ended
}

/** ExecStart= again and again, as Restart=always says; the lab's RestartSec= is short. */
function keepRunning(system: System, unit: string, file: string): void {
  const { root, signal, spec, console } = system
  const words = (/^ExecStart=(.+)$/m.exec(file)?.[1] ?? '').trim().split(/\s+/)
  const restarts = /^Restart=(always|on-failure)$/m.test(file)
  const run = async (): Promise<void> => {
    while (!signal.aborted && system.running.has(unit)) {
      const child = startChild({
        file: join(root, words[0]!),
        args: [...words.slice(1), '--root', root, '--path', programPath(root)],
        env: { PATH: programPath(root), LC_ALL: 'C', HOME: join(root, 'root') },
        cwd: root,
        channel: 'none',
        line: line => console(`agent: ${line}`)
      })
      system.agent = child
      system.started(child)
      const { code, signal: killed } = await child.ended
      console(`systemd: ${unit} ended (${killed ?? code})`)
      if (!restarts) break
      await pause(RESTART_MS, signal)
    }
  }
  run().catch((error: Error) => {
    if (!signal.aborted) console(`systemd: ${unit} of ${spec.name} cannot be started: ${error.message}`)
  })
}

const RESTART_MS = 300

/** The folder in which each running unit's process number lies, for the simulated systemctl. */
function pidFolder(root: string): string {
  return join(root, 'run/lab/units')
}

/** The kubelet that /usr holds now; it stays that one until it is started anew, whatever is merged meanwhile. */
async function runKubelet(system: System): Promise<void> {
  const { root, signal, spec } = system
  const program = await mergedKubelet(root)
  if (program === null) throw new Error('Failed to start kubelet.service: Unit kubelet.service not found.')
  system.nextPid += 1
  const pid = system.nextPid
  await mkdir(join(root, `proc/${pid}`), { recursive: true })
  await symlink(program.path, join(root, `proc/${pid}/exe`))
  await mkdir(pidFolder(root), { recursive: true })
  await writeFile(join(pidFolder(root), 'kubelet.part'), `${pid}\n`)
  await rename(join(pidFolder(root), 'kubelet.part'), join(pidFolder(root), 'kubelet'))
  system.kubelet = startKubelet({
    root,
    spec,
    version: program.version,
    address: system.address,
    signal,
    console: system.console
  })
}

interface Extension {
  readonly simulated: true
  readonly version: string
}

/** The folder that stands for one merged version: its programs stay there for processes that still run them. */
function versionFolder(root: string, version: string): string {
  return join(root, 'var/lib/lab/kubernetes', version)
}

async function mergedKubelet(root: string): Promise<{ path: string; version: string } | null> {
  const version = await readFile(join(root, 'run/lab/merged'), 'utf8').catch(() => null)
  return version === null ? null : { path: join(versionFolder(root, version), 'kubelet'), version }
}

/** `systemd-sysext refresh`: /usr shows what the images in /var/lib/extensions hold; a bad image is left out. */
export async function refreshExtensions({ root, socket, spec }: System): Promise<string | null> {
  const programs = ['kubelet', 'kubeadm', 'kubectl']
  for (const program of programs) await rm(join(root, 'usr/bin', program), { force: true })
  await rm(join(root, 'run/lab/merged'), { force: true })
  const text = await readFile(join(root, 'var/lib/extensions/kubernetes.raw'), 'utf8').catch(() => null)
  const image = text === null ? null : parseExtension(text)
  if (image === null) return null
  const folder = versionFolder(root, image.version)
  await mkdir(join(root, 'usr/bin'), { recursive: true })
  for (const program of programs) {
    await writeLauncher(join(folder, program), socket, spec.name, program, image.version)
    await symlink(join(folder, program), join(root, 'usr/bin', program))
  }
  await mkdir(join(root, 'run/lab'), { recursive: true })
  await writeFile(join(root, 'run/lab/merged'), image.version)
  return image.version
}

/** Null for what systemd-sysext would leave out without a word. */
function parseExtension(text: string): Extension | null {
  try {
    const image = JSON.parse(text) as Partial<Extension>
    return image.simulated === true && /^v1\.\d+\.\d+$/.test(image.version ?? '') ? (image as Extension) : null
  } catch {
    return null
  }
}

/** The file that the lab's server hands out as kubernetes-<version>-<arch>.raw. */
export function extensionText(version: string, arch: string): string {
  const note = 'Simulated by slipway lab: a real one is a squashfs image with kubelet, kubeadm and kubectl.'
  return `${JSON.stringify({ simulated: true, version, arch, note, padding: 'x'.repeat(20_000) })}\n`
}
