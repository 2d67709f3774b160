// Which boot programs a data folder lacks, and the command that brings each: said by `slipway check`, `doctor`, `init`.

import { join } from 'node:path'
import type { Loader } from '../../contract/document.ts'
import { statFile } from '../../data/digest/files.ts'
import { type BootProgram, bootPrograms, neededPrograms, type Platform } from '../../dhcp/firmware/programs.ts'

const machines: Readonly<Record<Platform, string>> = {
  bios: 'BIOS machines',
  'uefi-x86_64': 'UEFI x86-64 machines',
  'uefi-arm64': 'UEFI arm64 machines'
}

export interface Missing {
  readonly path: string
  readonly message: string
}

/** In the table's order. Rejects when the folder may not be looked into. */
export async function missingPrograms(data: string, loaders: readonly Loader[]): Promise<Missing[]> {
  const missing: Missing[] = []
  for (const { file } of neededPrograms(loaders)) {
    if ((await statFile(join(data, 'boot', file))) === null)
      missing.push({ path: `boot/${file}`, message: whyMissing(file) })
  }
  return missing
}

/** What it is for and where it comes from. A name that is not in the table gets no advice. */
export function whyMissing(file: string): string {
  const program = bootPrograms.find(each => each.file === file)
  if (program === undefined) return 'missing: slipway assets import brings it'
  return `missing; ${machines[program.platform]} that need it stop (${program.use}): ${remedy(program)}`
}

function remedy({ package: name, path }: BootProgram): string {
  const folder = path.slice(0, path.lastIndexOf('/'))
  const release = name === 'ipxe' ? 'Debian 13 or later' : 'Debian'
  return `apt-get install ${name} (${release}), then slipway assets import ${folder}; or import the .deb itself`
}
