// What an installer is started with, whichever boot program starts it: its kernel's arguments. Quoting them for one
// script language or another is for ipxe.ts and grub.ts.

import type { Profile } from '../contract/document.ts'
import type { Machine } from '../contract/machine.ts'
import { installerFiles } from './installer.ts'

/** Linux keeps at most 2048 bytes of its command line on x86 and arm64 (COMMAND_LINE_SIZE). */
const COMMAND_LINE_MAX = 2047

export interface Installation {
  /** b-xxxxxxxx: shown on the console, so that the person before it can ask for the right timeline. */
  readonly bootId: string
  readonly configUrl: string
  /** URL of /assets, without the profile's folder: what the installer loads by itself. */
  readonly assetsUrl: string
  readonly profile: Profile
  readonly machine: Machine
  /** The address that asked, aa:bb:…: the installer uses that interface. */
  readonly mac: string
}

/**
 * One argument an item, each of them a plain word; `own` is what the boot program puts before them. Throws TypeError
 * when one is no plain word, or together they are too long.
 */
export function commandLine(installation: Installation, own: string): readonly string[] {
  const { os } = installation.profile.spec
  const line = [...commandLines[os.name](installation), ...(os.kernelArguments ?? [])].map(kernelArgument)
  if ([own, ...line].join(' ').length > COMMAND_LINE_MAX) throw new TypeError('the kernel command line is too long')
  return line
}

/** Passes one kernel argument on, or throws: it would become two, expand in the script, or end the line. */
export function kernelArgument(argument: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.,:/=@+?&%~[\]-]*$/.test(argument)) throw new TypeError('not one kernel argument')
  return argument
}

/** Our own URLs: never hostile, so that what would not be one word is a bug. `${…}` cannot be part of them. */
export function urlWord(url: string): string {
  if (!/^https?:\/\/[A-Za-z0-9_.,:/=@+?&%~[\]-]+$/.test(url)) throw new TypeError('not a plain URL')
  return url
}

const commandLines = { 'fedora-coreos': coreosArguments, 'centos-stream': anacondaArguments } as const

/**
 * The live system's own Ignition must run (ignition.firstboot, platform metal) and finds no config, which it takes
 * for an empty one: no ignition.config.url here, since that config is for the installed system, and this one is
 * thrown away. The lab's system behaves the same with the same arguments. The installer keeps ip= for the first boot.
 */
function coreosArguments(installation: Installation): string[] {
  const { profile, configUrl } = installation
  return [
    'ip=dhcp',
    'rd.neednet=1',
    `coreos.live.rootfs_url=${folderUrl(installation)}/${installerFiles(profile)[2]}`,
    'ignition.firstboot',
    'ignition.platform.id=metal',
    `coreos.inst.install_dev=${profile.spec.disks.install}`,
    `coreos.inst.ignition_url=${configUrl}`
  ]
}

/**
 * sendmac and sendsn together: alone, sendsn may come too late for the kickstart request. inst.nosave keeps the
 * kickstart, which holds the boot's key, out of /root of the installed system.
 */
function anacondaArguments(installation: Installation): string[] {
  const tree = folderUrl(installation)
  return [
    'ip=dhcp',
    `BOOTIF=01-${installation.mac.toLowerCase().replaceAll(':', '-')}`,
    `inst.stage2=${tree}`,
    `inst.repo=${tree}`,
    `inst.ks=${installation.configUrl}`,
    'inst.ks.sendmac',
    'inst.ks.sendsn',
    'inst.text',
    'inst.cmdline',
    'inst.nosave=all_ks'
  ]
}

function folderUrl({ assetsUrl, profile }: Installation): string {
  return `${urlWord(assetsUrl.replace(/\/$/, ''))}/${profile.spec.os.assets}`
}
