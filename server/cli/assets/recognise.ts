// Which file in a package or a folder is which file of the data folder: by the names that distributions use. Pure.

import { bootPrograms } from '../../dhcp/firmware/programs.ts'

/** The file below the data folder that a source of this name becomes, and how sure that is: lower is surer. */
export interface Recognised {
  readonly path: string
  readonly rank: number
}

/** Builds that do not end in our own name for them; the table of boot programs has the path in Debian's packages. */
const others: ReadonlyArray<readonly [name: RegExp, path: string]> = [
  [/^ipxe-(?:amd64|x86_64)\.efi$/, 'boot/ipxe.efi'],
  [/^ipxe-(?:arm64|aarch64)\.efi$/, 'boot/ipxe-arm64.efi'],
  [/^(fbx64|fbaa64)\.efi(?:\.signed)?$/, 'boot/$1.efi'],
  [/^slipway-agent-(x86_64|arm64)$/, 'agents/slipway-agent-$1'],
  [/^kubernetes-(v[0-9.]+)-(x86_64|arm64)\.raw$/, 'extensions/kubernetes-$1-$2.raw']
]

/** `path` is that in the package or folder, with slashes; null for what machines are never given as it is. */
export function recognise(path: string): Recognised | null {
  const name = path.slice(path.lastIndexOf('/') + 1)
  const whole = `/${path}`
  for (const { file, path: packaged } of bootPrograms)
    if (whole.endsWith(packaged)) return { path: `boot/${file}`, rank: 0 }
  for (const { file, path: packaged } of bootPrograms) {
    if (name === packaged.slice(packaged.lastIndexOf('/') + 1)) return { path: `boot/${file}`, rank: 1 }
    if (name === file) return { path: `boot/${file}`, rank: 2 }
  }
  for (const [pattern, to] of others) if (pattern.test(name)) return { path: name.replace(pattern, to), rank: 1 }
  // The first stage of an installer tree is its vendor's shim under the name that removable media have (UEFI §3.5.1.1).
  const removable = /(?:^|\/)EFI\/BOOT\/BOOT(X64|AA64)\.EFI$/i.exec(path)?.[1]
  return removable === undefined ? null : { path: `boot/shim${removable.toLowerCase()}.efi`, rank: 3 }
}

/** A folder or image with one of these is an installer, which wants a name of its own: --as. */
export function isInstallerPart(path: string): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1)
  return /^(\.treeinfo|vmlinuz|initrd\.img|rootfs\.img|.*-live-(kernel|initramfs|rootfs).*)$/.test(name)
}

/**
 * The year of an iPXE that is too old, as its version says (1.0.0+git-20190125, in it or in its package's name);
 * null for others. Debian's of 2019 knows no HTTPS, by which a recent iPXE is told from an old one: machines load it
 * twice before they are believed.
 */
export function oldIpxe(text: string): number | null {
  const year = Number(/\+git-(20[0-9]{2})[01][0-9][0-3][0-9]\./.exec(text)?.[1] ?? Number.NaN)
  return year < 2022 ? year : null
}

/** Whether oldIpxe() is to be asked. */
export function isIpxe(path: string): boolean {
  return /^boot\/(undionly|snponly|ipxe)/.test(path)
}
