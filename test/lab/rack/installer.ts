// What the installers do with the kernel arguments that they were booted with, as far as Slipway has a part in it:
// Fedora CoreOS takes its root image and lays the Ignition config beside it for the first boot; Anaconda takes its
// tree and its kickstart and runs the scripts in it. The disk is a folder, and so is its /sys.

import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { getAgain, getAnswer, patient } from './http.ts'
import { runKickstart } from './kickstart.ts'
import { kernelOf, type MachineSpec } from './spec.ts'

export interface Installation {
  readonly spec: MachineSpec
  readonly address: string
  readonly arguments: readonly string[]
  /** The folder that becomes the disk; whatever was in it goes. */
  readonly disk: string
  readonly temporary: string
  /** PATH of a kickstart's scripts. */
  readonly path: string
  readonly signal: AbortSignal
  readonly console: (line: string) => void
}

/** Where the first boot finds its config; that it is still there says that it was not applied yet. */
export const IGNITION_CONFIG = '/boot/ignition/config.ign'
/** The one disk of every simulated machine. */
const DISK = '/dev/disk/by-id/virtio-lab'

/** Rejects with the installer's complaint; the machine then stands still, as a real one would. */
export async function install(installation: Installation): Promise<'Ignition' | 'kickstart'> {
  const { disk, temporary } = installation
  await rm(temporary, { recursive: true, force: true })
  await mkdir(disk, { recursive: true })
  const values = new Map(installation.arguments.map(argument => split(argument)))
  const device = values.get('coreos.inst.install_dev')
  if (device !== undefined) {
    await installCoreos(installation, values, device)
    return 'Ignition'
  }
  const kickstart = values.get('inst.ks')
  if (kickstart === undefined) throw new Error('neither coreos.inst.install_dev= nor inst.ks= on the command line')
  await installCentos(installation, values, kickstart)
  return 'kickstart'
}

function split(argument: string): [name: string, value: string] {
  const at = argument.indexOf('=')
  return at === -1 ? [argument, ''] : [argument.slice(0, at), argument.slice(at + 1)]
}

async function installCoreos(installation: Installation, values: Map<string, string>, device: string): Promise<void> {
  const { address, disk, signal, console } = installation
  const rootfs = values.get('coreos.live.rootfs_url')
  const config = values.get('coreos.inst.ignition_url')
  if (rootfs === undefined || config === undefined) throw new Error('rootfs_url or ignition_url is missing')
  const curl = { address, userAgent: 'curl/8.15 (simulated)', signal }
  await getAgain(rootfs, curl, patient)
  if (device !== DISK) throw new Error(`${device}: no such disk`)
  const text = await getAgain(config, { ...curl, userAgent: 'coreos-installer (simulated)' }, patient)
  const file = join(disk, IGNITION_CONFIG)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text, { mode: 0o600 })
  console(`coreos-installer: wrote the config (${text.length} bytes) for the first boot`)
}

async function installCentos(installation: Installation, values: Map<string, string>, url: string): Promise<void> {
  const { spec, address, signal, console } = installation
  const tree = values.get('inst.stage2') ?? values.get('inst.repo') ?? ''
  const curl = { address, userAgent: 'curl/8.12 (simulated)', headers: anacondaHeaders(spec, values), signal }
  const kickstart = (await getAgain(url, curl, patient)).toString('utf8')
  // Without a description Anaconda looks for the second stage where it always is.
  const described = await getAnswer(`${tree}/.treeinfo`, curl, patient)
  console(`anaconda: .treeinfo: ${described.status}`)
  await getAgain(`${tree}/images/install.img`, curl, patient)
  // Two images that are usually absent: 404 is their normal answer.
  for (const image of ['updates', 'product']) {
    const got = await getAnswer(`${tree}/images/${image}.img`, curl, patient)
    console(`anaconda: images/${image}.img: ${got.status}`)
  }
  const sys = join(installation.temporary, 'sys')
  await mkdir(spec.firmware === 'uefi' ? join(sys, 'firmware', 'efi') : sys, { recursive: true })
  await runKickstart(kickstart, { sysroot: installation.disk, sys, ...installation })
  console('anaconda: %pre and %post ended well')
}

/** What Anaconda's initramfs sends with inst.ks.sendmac and inst.ks.sendsn. */
function anacondaHeaders(spec: MachineSpec, values: Map<string, string>): Record<string, string> {
  return {
    'X-Anaconda-Architecture': spec.arch === 'arm64' ? 'aarch64' : 'x86_64',
    'X-Anaconda-System-Release': `CentOS Stream (simulated, ${kernelOf(spec)})`,
    ...(values.has('inst.ks.sendmac') && { 'X-RHN-Provisioning-MAC-0': `eth0 ${spec.mac}` }),
    ...(values.has('inst.ks.sendsn') && { 'X-System-Serial-Number': spec.serial })
  }
}
