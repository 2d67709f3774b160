// What a boot is answered with, in whichever language its boot program reads: ipxe.ts and grub.ts write them.

import type { Hardware } from '../contract/machine.ts'
import type { Installation } from './command-line.ts'

export interface Scripts {
  /** The machine waits at its boot screen and asks again: nothing that can be cured on the server ends its boot. */
  readonly hold: (wait: { readonly reason: string; readonly seconds: number }) => string
  /** Kernel and initrd of the profile's installer, with the one URL of this boot's config. */
  readonly install: (installation: Installation) => string
  readonly local: (target: LocalBoot) => string
}

/** Boot from the local disk; null for what the firmware did not say. */
export interface LocalBoot extends Pick<Hardware, 'platform' | 'arch'> {
  readonly reason: string
}

/** Two lines of a screen of 80 columns. */
const TEXT_MAX = 160

/**
 * Text that no script language acts upon between single quotes, and iPXE's, which knows no quotes, nowhere: printable
 * ASCII without $, quotes, braces, backslash, semicolon, and without what separates commands.
 */
export function plainText(text: string): string {
  const plain = text
    .slice(0, TEXT_MAX * 4)
    .replaceAll(';', ',')
    .replaceAll(/[^A-Za-z0-9 _.,:/@+=()-]+/g, '?')
  return plain.slice(0, TEXT_MAX).trim()
}
