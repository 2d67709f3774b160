// The scripts that iPXE is answered with: asking who the machine is, waiting, installing, and the local disk.
// Every text that came from hardware or an operator passes plainText() or kernelArgument().
//
// iPXE splits a line at blanks and knows no quotes; ${…} expands anywhere; && || ; and # act only as words or at the
// begin of one. (src/core/exec.c)

import { commandLine, type Installation, urlWord } from './command-line.ts'
import { installerFiles } from './installer.ts'
import { type LocalBoot, plainText, type Scripts } from './scripts.ts'

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

/** `baseUrl` is where iPXE loads from and asks again, which may be https. */
export function ipxeScripts(baseUrl: string): Scripts {
  return {
    hold: ({ reason, seconds }) => {
      const wait = Math.max(1, Math.round(seconds))
      return script(
        ':wait',
        `echo Slipway: this machine waits: ${plainText(reason)}`,
        `echo Slipway: asking again in ${wait} seconds`,
        `sleep ${wait}`,
        `chain --replace --autofree ${entryUrl(baseUrl)} ||`,
        'goto wait'
      )
    },
    install: installation => installScript(baseUrl, installation),
    local: localScript
  }
}

function installScript(baseUrl: string, installation: Installation): string {
  const { bootId, profile, machine } = installation
  const [kernel, initrd] = installerFiles(profile)
  const folder = `${urlWord(baseUrl)}/assets/${profile.spec.os.assets}`
  const own = 'initrd=initrd.img' // UEFI: the name under which the kernel finds what `initrd --name` loaded
  return script(
    `echo Slipway: ${plainText(`${machine.name ?? machine.id} gets ${profile.metadata.name}, boot ${bootId}`)}`,
    'imgfree',
    `kernel ${folder}/${kernel} ${own} ${commandLine(installation, own).join(' ')} || goto failed`,
    `initrd --name initrd.img ${folder}/${initrd} || goto failed`,
    'boot || goto failed',
    ':failed',
    'echo Slipway: the installer could not be loaded; asking again in 10 seconds',
    'imgfree',
    'sleep 10',
    `chain --replace --autofree ${entryUrl(baseUrl)} || goto failed`
  )
}

/**
 * Boot from the local disk. BIOS: sanboot of the first drive; where that fails, exit goes on to the next device.
 * UEFI: sanboot needs an iPXE of 2025, which is the one we hand out; a bare exit would wander through every other
 * network entry of the firmware first. `arch` makes no difference today. Null: iPXE itself says which it is.
 */
function localScript(target: LocalBoot): string {
  const said = `echo Slipway: booting from the local disk: ${plainText(target.reason)}`
  const bios = 'sanboot --no-describe --drive 0x80 || exit'
  const uefi = 'sanboot --no-describe --drive 0 || exit 1'
  if (target.platform === 'bios') return script(said, bios)
  if (target.platform === 'uefi') return script(said, uefi)
  return script(said, 'iseq ${platform} efi || goto bios', uefi, ':bios', bios)
}

function entryUrl(baseUrl: string): string {
  return `${urlWord(baseUrl)}/boot/ipxe`
}

function script(...lines: string[]): string {
  return `#!ipxe\n${lines.join('\n')}\n`
}
