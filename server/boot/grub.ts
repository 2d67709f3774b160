// The scripts that GRUB is answered with, which is what boots under Secure Boot. A text from hardware or an operator
// passes plainText() and stands between single quotes, where GRUB acts upon nothing (grub-core/script/yylex.l); a
// kernel argument passes kernelArgument() as well.
//
// GRUB's own file asks in a loop, and each answer runs inside it (`source`) and comes back: `configfile` would nest one
// menu in another, once for each time that a machine waits.

import { commandLine, type Installation } from './command-line.ts'
import { installerFiles } from './installer.ts'
import { type LocalBoot, plainText, type Scripts } from './scripts.ts'

/**
 * GRUB on UEFI's own HTTP asks for the size first (HEAD) and reads so many bytes of what GET brings: all scripts have
 * one size, since what GET will answer is not decided by a HEAD.
 */
const SCRIPT_BYTES = 8192

/** What smbios knows of the machine: the key in the question, the structure's type and the string's offset in it. */
const facts = [
  ['serial', 1, 7],
  ['manufacturer', 1, 4],
  ['product', 1, 5],
  ['asset', 3, 8]
] as const

/**
 * GRUB's first file: it asks with all that it knows, by HTTP where this GRUB has it (2.06 of Debian 12 has not), else
 * by the way it was loaded. `insmod` succeeds whatever happens, so that reading a file is what tells (seen). A value
 * cannot be percent-encoded in GRUB: blanks are; what holds anything else that a URL may not is left out, and what
 * would not fit into the 512 bytes of its TFTP request.
 */
export function grubConfig(baseUrl: string): string {
  return script(
    'set slipway_root="$root"',
    'set slipway_query="mac=$net_default_mac&arch=$grub_cpu&platform=$grub_platform"',
    'function slipway_ask {',
    '  while regexp --set=1:slipway_head --set=2:slipway_tail \'^([^ ]*) (.*)$\' "$slipway_value"; do',
    '    set slipway_value="${slipway_head}%20${slipway_tail}"',
    '  done',
    '  if regexp \'^[A-Za-z0-9_.,()%+-]{1,64}$\' "$slipway_value"; then',
    '    set slipway_query="${slipway_query}&$1=${slipway_value}"',
    '  fi',
    '  unset slipway_value',
    '}',
    'smbios --type 1 --get-uuid 8 --set slipway_value',
    'slipway_ask uuid',
    ...facts.flatMap(([key, type, offset]) => [
      `smbios --type ${type} --get-string ${offset} --set slipway_value`,
      `slipway_ask ${key}`
    ]),
    'while true; do',
    '  set slipway_from="($slipway_root)"',
    `  if regexp '^tftp' "$slipway_root"; then`,
    `    if [ -s '${deviceOf(baseUrl)}/boot/grub' ]; then set slipway_from='${deviceOf(baseUrl)}'; fi`,
    '  fi',
    '  unset slipway_answered',
    '  source "${slipway_from}/boot/grub?${slipway_query}"',
    '  set root="$slipway_root"',
    '  if [ "$slipway_answered" != yes ]; then',
    "    echo 'Slipway: the server did not answer; asking again in 5 seconds'",
    '    sleep 5',
    '  fi',
    'done'
  )
}

/** The answers for one boot; `device` is where the installer is loaded from: see deviceOf(), or (tftp,address). */
export function grubScripts(device: string): Scripts {
  return {
    hold: ({ reason, seconds }) => {
      const wait = Math.max(1, Math.round(seconds))
      return answer(say(`this machine waits: ${reason}`), say(`asking again in ${wait} seconds`), `sleep ${wait}`)
    },
    install: installation => installScript(device, installation),
    local: localScript
  }
}

/** GRUB's name for what our URL names: (http,10.0.0.1:8080). Throws TypeError for a URL that is not one plain host. */
export function deviceOf(baseUrl: string): string {
  const [, scheme, host] = /^(https?):\/\/([A-Za-z0-9.-]+(?::[0-9]{1,5})?)$/.exec(baseUrl) ?? []
  if (scheme === undefined) throw new TypeError(`GRUB has no device for ${baseUrl}`)
  return `(${scheme},${host})`
}

function installScript(device: string, installation: Installation): string {
  const { bootId, profile, machine } = installation
  const [kernel, initrd] = installerFiles(profile)
  const folder = `${device}/assets/${profile.spec.os.assets}`
  // GRUB puts the kernel's own name first.
  const words = commandLine(installation, `BOOT_IMAGE=${folder}/${kernel}`).map(word => `'${word}'`)
  return answer(
    say(`${machine.name ?? machine.id} gets ${profile.metadata.name}, boot ${bootId}`),
    `if linux '${folder}/${kernel}' ${words.join(' ')}; then`,
    `  if initrd '${folder}/${initrd}'; then`,
    '    boot',
    '  fi',
    'fi',
    say('the installer could not be loaded, asking again in 10 seconds'),
    'sleep 10'
  )
}

/** Where installed systems have their loaders; the last is that of removable media, and a fallback (UEFI §3.5). */
const folders = ['fedora', 'centos', 'redhat', 'debian', 'BOOT']

/**
 * The disk's own loader: `exit` hands over to the next entry of the firmware, which may be another network card, and is
 * for when there is none. The loader's own shim verifies what it starts.
 */
function localScript({ platform, arch, reason }: LocalBoot): string {
  const said = say(`booting from the local disk: ${reason}`)
  if (platform === 'bios') return answer(said, "set root='(hd0)'", 'if chainloader +1; then boot; fi', 'exit')
  const suffix = arch === 'arm64' ? 'aa64' : 'x64'
  const files = folders.map(folder => `/EFI/${folder}/${folder === 'BOOT' ? 'BOOT' : 'shim'}${suffix}.efi`)
  return answer(
    said,
    `for slipway_file in ${files.join(' ')}; do`,
    '  if search --no-floppy --set=root --file "$slipway_file"; then',
    '    if chainloader "$slipway_file"; then boot; fi',
    '  fi',
    'done',
    'exit'
  )
}

function say(text: string): string {
  return `echo 'Slipway: ${plainText(text)}'`
}

/** Says first that it is an answer: GRUB goes on after a script that it could not read. */
function answer(...lines: string[]): string {
  return script('set slipway_answered=yes', ...lines)
}

function script(...lines: string[]): string {
  const text = `${lines.join('\n')}\n`
  if (text.length > SCRIPT_BYTES) throw new TypeError('the script is too long')
  return `${text}${'#'.repeat(SCRIPT_BYTES - text.length - 1)}\n`.slice(-SCRIPT_BYTES)
}
