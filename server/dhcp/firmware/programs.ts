// The boot programs: every file that firmware is told to load, or that what it loaded asks for next. One table says
// which there are; what an operator lacks (`slipway check`, `doctor`) is read from it too. Bytes are data/files.ts.

import type { Loader } from '../../contract/document.ts'

export type Platform = 'bios' | 'uefi-x86_64' | 'uefi-arm64'

export interface BootProgram {
  /** Its name in the data folder's boot/, which TFTP serves at its root and HTTP below /assets/boot. */
  readonly file: string
  readonly platform: Platform
  readonly by: ReadonlyArray<'tftp' | 'http'>
  readonly loader: Loader
  readonly use: string
  /** Debian's package that holds it (iPXE: of Debian 13 or later), and the path there. */
  readonly package: string
  readonly path: string
  /** False for what a boot may do without. */
  readonly needed: boolean
}

const both = ['tftp', 'http'] as const
export const bootPrograms: readonly BootProgram[] = [
  {
    file: 'undionly.kpxe',
    platform: 'bios',
    by: ['tftp'],
    loader: 'ipxe',
    use: 'iPXE on the network card’s own driver',
    package: 'ipxe',
    path: '/usr/lib/ipxe/undionly.kpxe',
    needed: true
  },
  {
    file: 'snponly.efi',
    platform: 'uefi-x86_64',
    by: ['tftp'],
    loader: 'ipxe',
    use: 'iPXE on the firmware’s own driver',
    package: 'ipxe',
    path: '/usr/lib/ipxe/snponly.efi',
    needed: true
  },
  {
    file: 'ipxe.efi',
    platform: 'uefi-x86_64',
    by: ['http'],
    loader: 'ipxe',
    use: 'iPXE for HTTP boot',
    package: 'ipxe',
    path: '/usr/lib/ipxe/ipxe-amd64.efi',
    needed: true
  },
  {
    file: 'ipxe-arm64.efi',
    platform: 'uefi-arm64',
    by: both,
    loader: 'ipxe',
    use: 'iPXE',
    package: 'ipxe',
    path: '/usr/lib/ipxe/ipxe-arm64.efi',
    needed: true
  },
  ...signed('uefi-x86_64', 'x64', 'amd64', '/usr/lib/grub/x86_64-efi-signed'),
  ...signed('uefi-arm64', 'aa64', 'arm64', '/usr/lib/grub/arm64-efi-signed')
]

/** The names are those that shim was built to ask for. */
function signed(platform: Platform, suffix: string, arch: string, grubFolder: string): BootProgram[] {
  const common = { platform, by: both, loader: 'shim', needed: true } as const
  return [
    {
      ...common,
      file: `shim${suffix}.efi`,
      use: 'what firmware starts under Secure Boot; of the vendor whose kernels are installed',
      package: 'shim-signed',
      path: `/usr/lib/shim/shim${suffix}.efi.signed`
    },
    {
      ...common,
      file: `grub${suffix}.efi`,
      use: 'the second stage, which shim asks for by this name; of the same vendor',
      package: `grub-efi-${arch}-signed`,
      path: `${grubFolder}/grubnet${suffix}.efi.signed`
    },
    {
      ...common,
      file: `mm${suffix}.efi`,
      use: 'MokManager, which shim asks for when keys wait to be enrolled',
      package: `shim-helpers-${arch}-signed`,
      path: `/usr/lib/shim/mm${suffix}.efi.signed`,
      needed: false
    }
  ]
}

/** What a data folder must hold for these loaders; BIOS machines load iPXE under each. */
export function neededPrograms(loaders: readonly Loader[]): readonly BootProgram[] {
  return bootPrograms.filter(
    ({ needed, platform, loader }) => needed && (platform === 'bios' || loaders.includes(loader))
  )
}

/** The program that this firmware is sent to; null where there is none, as for HTTP boot of a BIOS. */
export function findProgram(platform: Platform, by: 'tftp' | 'http', loader: Loader): BootProgram | null {
  const wanted = platform === 'bios' ? 'ipxe' : loader
  return bootPrograms.find(one => one.platform === platform && one.loader === wanted && one.by.includes(by)) ?? null
}
