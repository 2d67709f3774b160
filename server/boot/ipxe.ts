// The scripts that iPXE is answered with: asking who the machine is, waiting, installing, and the local disk.
// Every text that came from hardware or an operator passes ipxeText() or kernelArgument().
//
// iPXE splits a line at blanks and knows no quotes; ${…} expands anywhere; && || ; and # act only as words or at the
// begin of one. (src/core/exec.c)

import type { Profile } from '../contract/document.ts'
import type { Machine } from '../contract/machine.ts'
import { installerFiles } from './installer.ts'

/** A line of iPXE's 80-column console, twice. */
const TEXT_MAX = 160
/** Linux keeps at most 2048 bytes of its command line on x86 and arm64 (COMMAND_LINE_SIZE). */
const COMMAND_LINE_MAX = 2047

export interface Installation {
  /** b-xxxxxxxx: shown on the console, so that the person before it can ask for the right timeline. */
  readonly bootId: string
  readonly configUrl: string
  /** URL of /assets, without the profile's folder. */
  readonly assetsUrl: string
  readonly profile: Profile
  readonly machine: Machine
  /** The address that asked, aa:bb:…: the installer uses that interface. */
  readonly mac: string
}

/** What iPXE tells of the machine it runs on, in iPXE's own words; every value is hostile and optional. */
const question = [
  ['mac', 'mac:hexhyp'],
  ['uuid', 'uuid'],
  ['serial', 'serial:uristring'],
  ['manufacturer', 'manufacturer:uristring'],
  ['product', 'product:uristring'],
  ['asset', 'asset:uristring'],
  ['arch', 'buildarch'],
  ['platform', 'platform']
]

/** The static first script: it asks again with all that iPXE knows. `baseUrl` is http://host:port of the boot plane. */
export function entryScript(baseUrl: string): string {
  const query = question.map(([key, setting]) => `${key}=\${${setting}}`).join('&')
  return script(
    ':ask',
    `chain --replace --autofree ${entryUrl(baseUrl)}?${query} ||`,
    'echo Slipway: the server did not answer; asking again in 5 seconds',
    'sleep 5',
    'goto ask'
  )
}

/** The machine waits at its boot screen and asks again: nothing that can be cured on the server ends its boot. */
export function holdScript({
  reason,
  retryUrl,
  seconds
}: {
  reason: string
  retryUrl: string
  seconds: number
}): string {
  const wait = Math.max(1, Math.round(seconds))
  return script(
    ':wait',
    `echo Slipway: this machine waits: ${ipxeText(reason)}`,
    `echo Slipway: asking again in ${wait} seconds`,
    `sleep ${wait}`,
    `chain --replace --autofree ${urlWord(retryUrl)} ||`,
    'goto wait'
  )
}

/** Kernel and initrd of the profile's installer, with the one URL of this boot's config. */
export function installScript(installation: Installation): string {
  const { bootId, profile, machine, assetsUrl } = installation
  const { os } = profile.spec
  const [kernel, initrd] = installerFiles(profile)
  const line = ['initrd=initrd.img', ...commandLines[os.name](installation), ...(os.kernelArguments ?? [])]
  const commandLine = line.map(kernelArgument).join(' ')
  if (commandLine.length > COMMAND_LINE_MAX) throw new TypeError('the kernel command line is too long')
  return script(
    `echo Slipway: ${ipxeText(`${machine.name ?? machine.id} gets ${profile.metadata.name}, boot ${bootId}`)}`,
    'imgfree',
    `kernel ${folderUrl(installation)}/${kernel} ${commandLine} || goto failed`,
    `initrd --name initrd.img ${folderUrl(installation)}/${initrd} || goto failed`,
    'boot || goto failed',
    ':failed',
    'echo Slipway: the installer could not be loaded; asking again in 10 seconds',
    'imgfree',
    'sleep 10',
    `chain --replace --autofree ${entryUrl(new URL(assetsUrl).origin)} || goto failed`
  )
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

/**
 * Boot from the local disk. BIOS: sanboot of the first drive; where that fails, exit goes on to the next device.
 * UEFI: sanboot needs an iPXE of 2025, which is the one we hand out; a bare exit would wander through every other
 * network entry of the firmware first. `arch` makes no difference today. Null: iPXE itself says which it is.
 */
export function localScript(target: { platform: 'bios' | 'uefi' | null; arch: string | null; reason: string }): string {
  const said = `echo Slipway: booting from the local disk: ${ipxeText(target.reason)}`
  const bios = 'sanboot --no-describe --drive 0x80 || exit'
  const uefi = 'sanboot --no-describe --drive 0 || exit 1'
  if (target.platform === 'bios') return script(said, bios)
  if (target.platform === 'uefi') return script(said, uefi)
  return script(said, 'iseq ${platform} efi || goto bios', uefi, ':bios', bios)
}

/** Text for echo that does nothing else: printable ASCII without the characters that iPXE acts upon. */
export function ipxeText(text: string): string {
  const plain = text
    .slice(0, TEXT_MAX * 4)
    .replaceAll(';', ',')
    .replaceAll(/[^A-Za-z0-9 _.,:/@+=()'-]+/g, '?')
  return plain.slice(0, TEXT_MAX).trim()
}

/** Passes one kernel argument on, or throws: it would become two, expand in iPXE, or end the line. */
export function kernelArgument(argument: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.,:/=@+?&%~[\]-]*$/.test(argument)) throw new TypeError('not one kernel argument')
  return argument
}

function entryUrl(baseUrl: string): string {
  return `${urlWord(baseUrl.replace(/\/$/, ''))}/boot/ipxe`
}

function folderUrl({ assetsUrl, profile }: Installation): string {
  return `${urlWord(assetsUrl.replace(/\/$/, ''))}/${profile.spec.os.assets}`
}

/** Our own URLs: never hostile, so that what would not be one word is a bug. `${…}` cannot be part of them. */
function urlWord(url: string): string {
  if (!/^https?:\/\/[A-Za-z0-9_.,:/=@+?&%~[\]-]+$/.test(url)) throw new TypeError('not a plain URL')
  return url
}

function script(...lines: string[]): string {
  return `#!ipxe\n${lines.join('\n')}\n`
}
