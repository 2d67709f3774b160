// What is asking, and what it boots: a table. Clients say it in options 60 (class), 93 (architecture), 77 (user class)
// and 175 (iPXE's features); Secure Boot none of them says, so that `loader` is the operator's word.
//
//   firmware                  ─► our iPXE, by TFTP (PXE) or HTTP (HTTP boot); with loader shim: shim, which loads GRUB
//   an iPXE without HTTPS     ─► our iPXE, by TFTP: the one of 2019 in QEMU and network cards announces the same user
//                                class as ours; nothing else tells them apart, and "it is iPXE" alone loops or runs it
//   the same, again and again ─► the boot script, if it has HTTP: what we hand out is no newer (chains.ts)
//   a recent iPXE             ─► the boot script; by HTTPS when its firmware began so

import type { Loader } from '../../contract/document.ts'
import { architectureName, platformOf, RASPBERRY_PI, UBOOT_ARM64 } from './architectures.ts'
import { ipxeFeature, readNested, userClasses } from '../codec/nested.ts'
import type { Packet } from '../codec/packet.ts'
import { findProgram, type Platform } from './programs.ts'

export interface Firmware {
  readonly kind: 'pxe' | 'http' | 'old-ipxe' | 'ipxe'
  /** Null for an architecture that we have no boot program for. */
  readonly platform: Platform | null
  /** Option 93; null when it is absent. */
  readonly arch: number | null
  /** Whether this iPXE can load a script from us. */
  readonly http: boolean
}

/** Beside what the packet says: where we are, what the operator wants, and what this machine was given already. */
export interface BootWay {
  /** The boot plane as machines reach it, without a slash at its end. */
  readonly bootUrl: string
  /** The same by HTTPS, for firmware that boots by HTTP; null where it is off. */
  readonly secureUrl: string | null
  readonly loader: Loader
  readonly chain: Chain
}

/** What a machine was given earlier in the same boot (chains.ts). */
export interface Chain {
  /** Its firmware was sent to HTTPS, so that it trusts us, and the iPXE that came so trusts whom it trusts. */
  readonly secure: boolean
  /** How often it was given our iPXE while it ran an old one already, before this exchange. */
  readonly laps: number
}

export type BootFile =
  | { readonly by: 'tftp'; readonly file: string }
  | { readonly by: 'http'; readonly file: string }
  | { readonly by: 'script'; readonly file: string }
  | { readonly by: 'none'; readonly reason: string }

/** Laps of one iPXE that was given another and came back as it was: then there is no newer one to give. */
const LAPS_MAX = 2

/** The boot client behind this packet; null for anything else, such as an installed system. */
export function findFirmware({ mac, options }: Pick<Packet, 'mac' | 'options'>): Firmware | null {
  const vendor = options.vendorClass ?? ''
  const arch = archOf(mac, vendor, options.clientArch?.[0] ?? null)
  const features = readNested(options.ipxe)
  const http = features.has(ipxeFeature.http)
  const known = { platform: platformOf(arch), arch, http }
  if (userClasses(options.userClass).includes('iPXE') || options.ipxe !== undefined) {
    return { ...known, kind: http && features.has(ipxeFeature.https) ? 'ipxe' : 'old-ipxe' }
  }
  if (vendor.startsWith('HTTPClient')) return { ...known, kind: 'http' }
  if (vendor.startsWith('PXEClient') || vendor.startsWith('U-Boot')) return { ...known, kind: 'pxe' }
  return null
}

/** Of Raspberry Pi Ltd; its boot loader calls itself a BIOS. */
const raspberry = ['b8:27:eb', 'dc:a6:32', 'e4:5f:01', '28:cd:c1', 'd8:3a:dd', '2c:cf:67']

function archOf(mac: string, vendor: string, said: number | null): number | null {
  if (said === 0 && raspberry.includes(mac.slice(0, 8))) return RASPBERRY_PI
  return said === null && vendor === 'U-Boot.armv8' ? UBOOT_ARM64 : said
}

export function bootFileFor(firmware: Firmware, way: BootWay): BootFile {
  const { kind, platform, http } = firmware
  if (kind === 'ipxe') return script(way)
  if (kind === 'old-ipxe' && way.chain.laps >= LAPS_MAX) {
    if (http) return script(way)
    return none('the iPXE in boot/ has no HTTP, and came back each time; import a newer one')
  }
  if (platform === null) return none(whyNot(firmware))
  const by = kind === 'http' ? 'http' : 'tftp'
  const program = findProgram(platform, by, way.loader)
  if (program === null) return none(`no boot program for HTTP boot of ${architectureName(firmware.arch)}`)
  if (by === 'tftp') return { by, file: program.file }
  return { by, file: `${way.secureUrl ?? way.bootUrl}/assets/boot/${program.file}` }
}

function script({ bootUrl, secureUrl, chain }: BootWay): BootFile {
  const base = chain.secure && secureUrl !== null ? secureUrl : bootUrl
  return { by: 'script', file: `${base}/boot/ipxe` }
}

function whyNot({ arch }: Firmware): string {
  if (arch === RASPBERRY_PI)
    return 'the boot loader of a Raspberry Pi takes no boot program: put UEFI firmware on its card'
  return `no boot program for ${architectureName(arch)}`
}

function none(reason: string): BootFile {
  return { by: 'none', reason }
}

/** A few words for a person. */
export function describeFirmware({ kind, arch }: Firmware): string {
  const what = { pxe: 'PXE firmware', http: 'HTTP boot firmware', 'old-ipxe': 'an old iPXE', ipxe: 'iPXE' }[kind]
  return `${what} (${architectureName(arch)})`
}
