// What is asking, and what it boots: a table. Clients say it in options 60 (class), 93 (architecture, RFC 4578 and the
// IANA list), 77 (user class) and 175 (iPXE's features).
//
//   firmware            ─► our iPXE, by TFTP (PXE) or HTTP (HTTP boot)
//   an iPXE without TLS ─► our iPXE, by TFTP: the one of 2019 in QEMU and network cards announces the same user class
//                          as ours; nothing else tells them apart, and "it is iPXE" alone loops or runs the old one
//   a recent iPXE       ─► the boot script

import { ipxeFeature, readNested, userClasses } from './nested.ts'
import type { Options } from './options.ts'
import { findProgram, type Platform } from './programs.ts'

export interface Firmware {
  readonly kind: 'pxe' | 'http' | 'old-ipxe' | 'ipxe'
  /** Null for an architecture that we have no boot program for. */
  readonly platform: Platform | null
  /** Option 93 as sent; null when it is absent. */
  readonly arch: number | null
}

export type BootFile =
  | { readonly by: 'tftp'; readonly file: string }
  | { readonly by: 'http'; readonly file: string }
  | { readonly by: 'script'; readonly file: string }
  | { readonly by: 'none'; readonly reason: string }

// RFC 4578 §2.1 numbers x86-64 as 9 and the IANA list as 7 (an erratum swapped them); both readings exist.
const platforms: Readonly<Record<number, Platform>> = {
  0: 'bios',
  7: 'uefi-x86_64',
  9: 'uefi-x86_64',
  11: 'uefi-arm64',
  16: 'uefi-x86_64',
  19: 'uefi-arm64'
}

/** The boot client behind these options; null for anything else, such as an installed system. */
export function findFirmware(options: Options): Firmware | null {
  const arch = options.clientArch?.[0] ?? null
  const platform = arch === null ? null : (platforms[arch] ?? null)
  if (userClasses(options.userClass).includes('iPXE') || options.ipxe !== undefined) {
    const recent = readNested(options.ipxe).has(ipxeFeature.https)
    return { kind: recent ? 'ipxe' : 'old-ipxe', platform, arch }
  }
  const vendor = options.vendorClass ?? ''
  if (vendor.startsWith('HTTPClient')) return { kind: 'http', platform, arch }
  if (vendor.startsWith('PXEClient')) return { kind: 'pxe', platform, arch }
  return null
}

/** What to boot; `bootUrl` is the boot plane as machines reach it, without a slash at its end. */
export function bootFileFor({ kind, platform, arch }: Firmware, bootUrl: string): BootFile {
  if (kind === 'ipxe') return { by: 'script', file: `${bootUrl}/boot/ipxe` }
  if (platform === null) return { by: 'none', reason: `no boot program for architecture ${arch ?? 'unknown'}` }
  const by = kind === 'http' ? 'http' : 'tftp'
  const program = findProgram(platform, by, 'ipxe')
  if (program === null) return { by: 'none', reason: `no ${by.toUpperCase()} boot program for ${platform}` }
  return by === 'tftp' ? { by, file: program.file } : { by, file: `${bootUrl}/assets/boot/${program.file}` }
}

/** A few words for a person. */
export function describeFirmware({ kind, platform, arch }: Firmware): string {
  const machine = {
    bios: 'BIOS',
    'uefi-x86_64': 'UEFI x86-64',
    'uefi-arm64': 'UEFI arm64',
    none: `architecture ${arch ?? 'unknown'}`
  }[platform ?? 'none']
  const what = { pxe: 'PXE firmware', http: 'HTTP boot firmware', 'old-ipxe': 'an old iPXE', ipxe: 'iPXE' }[kind]
  return `${what} (${machine})`
}
