// Kickstart files for CentOS Stream 9 and 10: plain input in, text out. A leaf: it knows nothing of Slipway.
// One text serves both: commands that differ between the two (timezone --ntpservers, logging --level, …) are not used.
// Left out: LVM, RAID, encryption, static addresses; the tree comes from inst.repo= on the kernel command line.
//
// The scripts are ordinary POSIX shell and stand alone: tests and the lab run them as they are, with
// SLIPWAY_SYSROOT (default /mnt/sysroot) and SLIPWAY_TMP (default /tmp) naming other folders.

import { base64Document, commandWord, shellWord } from './script.ts'

export interface KickstartInput {
  readonly hostname: string
  /** Absolute path of the one disk that is used. */
  readonly disk: string
  /** erase: the disk is used whatever it holds. refuse: the installation stops when the disk holds data. */
  readonly data: 'erase' | 'refuse'
  /** Told by POST that the installation begins; null: nobody is. */
  readonly reportUrl: string | null
  readonly kernelArguments: readonly string[]
  readonly repositories: readonly { readonly name: string; readonly url: string }[]
  readonly packages: readonly string[]
  readonly users: readonly {
    readonly name: string
    readonly groups: readonly string[]
    readonly sshAuthorizedKeys: readonly string[]
  }[]
  readonly directories: readonly { readonly path: string; readonly mode: number }[]
  readonly files: readonly KickstartFile[]
  readonly units: readonly { readonly name: string; readonly enabled?: boolean; readonly contents?: string }[]
}

export interface KickstartFile {
  readonly path: string
  readonly mode: number
  readonly contents: string | { readonly url: string; readonly sha256: string }
}

export function renderKickstart(input: KickstartInput): string {
  const sections = [commands(input), preSection(input), packageSection(input), postSection(input)]
  return `${sections.join('\n\n')}\n`
}

function commands({ hostname, users, repositories }: KickstartInput): string {
  return [
    'text',
    'cmdline',
    'lang C.UTF-8',
    'keyboard us',
    'timezone Etc/UTC --utc',
    'rootpw --lock',
    'firstboot --disable',
    'eula --agreed',
    `network --bootproto=dhcp --activate --hostname=${commandWord(hostname)}`,
    ...repositories.map(({ name, url }) => `repo --name=${commandWord(name)} --baseurl=${commandWord(url)} --install`),
    // What kubeadm's own installation guide asks for: the kubelet's mounts are not in the policy of CentOS Stream,
    // and the rules of the pod network are its plugin's.
    'selinux --permissive',
    'firewall --disabled',
    ...sortedBy(users, ({ name }) => name).flatMap(userCommands),
    '%include /tmp/slipway-disk.ks',
    'reboot'
  ].join('\n')
}

function userCommands({ name, groups, sshAuthorizedKeys }: KickstartInput['users'][number]): string[] {
  const inGroups = groups.length === 0 ? '' : ` --groups=${commandWord(groups.join(','))}`
  const keys = [...new Set(sshAuthorizedKeys)]
  return [
    `user --name=${commandWord(name)}${inGroups} --lock`,
    ...keys.map(key => `sshkey --username=${commandWord(name)} ${commandWord(key)}`)
  ]
}

function preSection(input: KickstartInput): string {
  const disk = shellWord(input.disk)
  return `%pre --erroronfail --log=/tmp/slipway-pre.log
set -eu
${input.reportUrl === null ? '' : reportTo(input.reportUrl)}disk=${disk}
if ! lsblk --nodeps "$disk" >/dev/null; then
  echo "slipway: this machine has no disk $disk; correct disks.install of its profile" >&2
  exit 1
fi
${input.data === 'erase' ? '' : refusal}cat > "\${SLIPWAY_TMP:-/tmp}/slipway-disk.ks" <<'EOF'
${diskCommands(input)}
EOF
%end`
}

/** A courtesy to whoever waits: the installation goes on when nobody takes it, after ten seconds at most. */
function reportTo(url: string): string {
  return `platform=bios
if [ -d "\${SLIPWAY_SYS:-/sys}/firmware/efi" ]; then platform=uefi; fi
arch=$(uname -m | sed s/aarch64/arm64/)
report="{\\"platform\\":\\"$platform\\",\\"arch\\":\\"$arch\\",\\"kernel\\":\\"$(uname -r)\\"}"
type='content-type: application/json'
if ! curl --fail --silent --show-error --max-time 10 --header "$type" --data "$report" ${shellWord(url)}; then
  echo "slipway: the start of this installation could not be reported; it goes on" >&2
fi
`
}

/** A partition or any signature (file system, RAID, LVM, partition table) counts as data. */
const refusal = `signatures=$(wipefs --noheadings --no-act "$disk")
devices=$(lsblk --noheadings --list --output NAME "$disk")
if [ -n "$signatures" ] || [ "$(echo "$devices" | wc -l)" -ne 1 ]; then
  echo "slipway: $disk holds data and is left as it is; to erase it: slipway install --wipe" >&2
  echo "$signatures" >&2
  exit 1
fi
`

/**
 * No swap: the kubelet refuses to start with it. --leavebootorder keeps the network first and the disk second in
 * the firmware's order: each start then asks the server, whose answer is the local disk (\\EFI\\BOOT of that disk).
 */
function diskCommands({ disk, kernelArguments }: KickstartInput): string {
  const drive = commandWord(disk)
  const append = kernelArguments.length === 0 ? '' : ` --append=${commandWord(kernelArguments.join(' '))}`
  return [
    `ignoredisk --only-use=${drive}`,
    'zerombr',
    `clearpart --all --initlabel --disklabel=gpt --drives=${drive}`,
    'reqpart',
    `part /boot --fstype=xfs --size=1024 --ondisk=${drive}`,
    `part / --fstype=xfs --size=8192 --grow --ondisk=${drive}`,
    `bootloader --leavebootorder --boot-drive=${drive}${append}`
  ].join('\n')
}

function packageSection({ packages }: KickstartInput): string {
  return ['%packages', ...new Set(packages), '%end'].join('\n')
}

function postSection({ directories, files, units }: KickstartInput): string {
  const withText = units.filter(unit => unit.contents !== undefined)
  const unitFiles = withText.map(unit => ({ path: unitPath(unit.name), mode: 0o644, contents: unit.contents! }))
  const enabled = units.filter(unit => unit.enabled === true).map(unit => unit.name)
  const steps = [
    ...sortedBy(directories, ({ path }) => path).map(({ path, mode }) => `folder ${pathWord(path)} ${modeText(mode)}`),
    ...sortedBy([...files, ...unitFiles], ({ path }) => path).map(writeFile),
    ...(enabled.length === 0 ? [] : [`systemctl --root="$root" enable ${enabled.toSorted().map(shellWord).join(' ')}`])
  ]
  const opening = '%post --nochroot --erroronfail --log=/mnt/sysroot/var/log/slipway-post.log'
  return [opening, functions, ...steps, '%end'].join('\n')
}

/** umask 077 before anything is written: a key is never readable by others, not even while it is being written. */
const functions = `set -eu
umask 077
root="\${SLIPWAY_SYSROOT:-/mnt/sysroot}"
# folder PATH MODE
folder() {
  (umask 022 && mkdir -p "$root$1")
  chmod "$2" "$root$1"
}
# put PATH MODE: standard input is the file, in base64
put() {
  (umask 022 && mkdir -p "$root\${1%/*}")
  base64 -d > "$root$1.part"
  chmod "$2" "$root$1.part"
  mv "$root$1.part" "$root$1"
}
# fetch PATH MODE URL SHA256: nothing unverified ever gets the name PATH. By itself curl retries no refused or reset
# connection, which is what a server that is being restarted gives. Its pauses double: eight are four minutes.
fetch() {
  (umask 022 && mkdir -p "$root\${1%/*}")
  curl --fail --retry 8 --retry-all-errors --silent --show-error --output "$root$1.part" "$3"
  printf '%s  %s\\n' "$4" "$root$1.part" | sha256sum -c -
  chmod "$2" "$root$1.part"
  mv "$root$1.part" "$root$1"
}`

function writeFile({ path, mode, contents }: KickstartFile): string {
  if (typeof contents === 'string') return `put ${pathWord(path)} ${modeText(mode)} ${base64Document(contents)}`
  return `fetch ${pathWord(path)} ${modeText(mode)} ${shellWord(contents.url)} ${shellWord(contents.sha256)}`
}

/** The callers' check made sure of it; a path that leaves the new root would write into the installer. */
function pathWord(path: string): string {
  if (!path.startsWith('/') || path.slice(1).split('/').some(leaves)) throw new TypeError('not a plain absolute path')
  return shellWord(path)
}

function leaves(segment: string): boolean {
  return segment === '' || segment === '.' || segment === '..'
}

function unitPath(name: string): string {
  return `/etc/systemd/system/${name}`
}

function modeText(mode: number): string {
  return mode.toString(8).padStart(4, '0')
}

function sortedBy<T>(items: readonly T[], key: (item: T) => string): readonly T[] {
  return items.toSorted((a, b) => (key(a) < key(b) ? -1 : 1))
}
