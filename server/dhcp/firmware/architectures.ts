// The processor architectures of option 93 (IANA's list "Processor Architecture Types", RFC 5970 §3.3, which takes up
// RFC 4578 §2.1), and which of them we have boot programs for. Others are told by their names.

import type { Platform } from './programs.ts'

const list: ReadonlyArray<readonly [arch: number, name: string, platform?: Platform]> = [
  [0, 'BIOS', 'bios'],
  [1, 'NEC PC-98'],
  [2, 'UEFI Itanium'],
  [3, 'DEC Alpha'],
  [4, 'Arc x86'],
  [5, 'Intel Lean Client'],
  [6, 'UEFI x86 (32 bits)'],
  [7, 'UEFI x86-64', 'uefi-x86_64'],
  [8, 'UEFI Xscale'],
  // RFC 4578 numbers x86-64 as 9 and EFI byte code as 7; an erratum swapped them, and both readings exist.
  [9, 'UEFI x86-64', 'uefi-x86_64'],
  [10, 'UEFI arm (32 bits)'],
  [11, 'UEFI arm64', 'uefi-arm64'],
  [12, 'PowerPC Open Firmware'],
  [13, 'PowerPC ePAPR'],
  [14, 'POWER OPAL'],
  [15, 'UEFI x86 (32 bits)'],
  [16, 'UEFI x86-64', 'uefi-x86_64'],
  [17, 'EFI byte code'],
  [18, 'UEFI arm (32 bits)'],
  [19, 'UEFI arm64', 'uefi-arm64'],
  [20, 'BIOS', 'bios'],
  [21, 'U-Boot arm (32 bits)'],
  // U-Boot's EFI loader says 11; its own PXE says 22, and `bootefi` starts what was loaded.
  [22, 'U-Boot arm64', 'uefi-arm64'],
  [23, 'U-Boot arm (32 bits)'],
  [24, 'U-Boot arm64', 'uefi-arm64'],
  [25, 'UEFI RISC-V (32 bits)'],
  [26, 'UEFI RISC-V (32 bits)'],
  [27, 'UEFI RISC-V (64 bits)'],
  [28, 'UEFI RISC-V (64 bits)'],
  [29, 'UEFI RISC-V (128 bits)'],
  [30, 'UEFI RISC-V (128 bits)'],
  [31, 's390 Basic'],
  [32, 's390 Extended'],
  [33, 'UEFI MIPS (32 bits)'],
  [34, 'UEFI MIPS (64 bits)'],
  [35, 'UEFI Sunway (32 bits)'],
  [36, 'UEFI Sunway (64 bits)'],
  [37, 'UEFI LoongArch (32 bits)'],
  [38, 'UEFI LoongArch (32 bits)'],
  [39, 'UEFI LoongArch (64 bits)'],
  [40, 'UEFI LoongArch (64 bits)'],
  [41, 'Raspberry Pi']
]

const table = new Map(list.map(([arch, name, platform = null]) => [arch, { name, platform }]))

/** The boot loader of a Raspberry Pi itself; UEFI firmware on one says 11, as every arm64 machine's. */
export const RASPBERRY_PI = 41
export const UBOOT_ARM64 = 22

/** How an architecture is called; a number that is not on the list by its number. */
export function architectureName(arch: number | null): string {
  return arch === null ? 'unknown architecture' : (table.get(arch)?.name ?? `architecture ${arch}`)
}

/** Null for one that we have no boot program for. */
export function platformOf(arch: number | null): Platform | null {
  return arch === null ? null : (table.get(arch)?.platform ?? null)
}
