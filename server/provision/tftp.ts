// What TFTP reads: boot programs by their bare names, GRUB's scripts for one that has no HTTP, and what those name
// below assets/. The decisions are those of HTTP; who asks is known by its address alone, as there.

import { grubConfig, grubScripts } from '../boot/grub.ts'
import { Fault } from '../core/fault.ts'
import type { Log } from '../log.ts'
import { answerBoot } from './boot.ts'
import { parseClaim } from './claim.ts'
import type { Deps } from './deps.ts'

export interface TftpSources {
  /** Null for a name that there is no boot program of. */
  readonly program: (name: string) => Promise<Buffer | null>
  /** A path below /assets/. */
  readonly asset: (path: string) => Promise<Buffer | null>
  readonly log: Log
}

/** GRUB's first file: Debian's build looks for it below the root, that of Fedora and CentOS Stream beside itself. */
const configs = ['grub/grub.cfg', 'grub.cfg']

/** Files that are made for whoever asks: nothing is sent that the timeline would not tell anyway. */
export function isMadeForAsker(name: string): boolean {
  return configs.includes(name) || name.startsWith('boot/grub')
}

/** Null for what there is not; `localAddress` is the server's, as its machines reach it. */
export function tftpReader(
  deps: Deps,
  { program, asset, log }: TftpSources,
  localAddress: string
): (name: string, peerAddress: string) => Promise<Buffer | null> {
  return async (name, address) => {
    try {
      if (configs.includes(name)) return Buffer.from(grubConfig(deps.urls.boot(localAddress)))
      if (name.startsWith('boot/grub?')) return await answer(name.slice(name.indexOf('?') + 1), address)
      return name.startsWith('assets/') ? await asset(name.slice('assets/'.length)) : await program(name)
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      log.warn('tftp.refused', { name: name.split('?')[0], address, error })
      return null
    }
  }

  async function answer(query: string, address: string): Promise<Buffer> {
    const scripts = grubScripts(`(tftp,${localAddress})`)
    return Buffer.from(await answerBoot(deps, parseClaim(query), { address, localAddress }, scripts))
  }
}
