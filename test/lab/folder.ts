// The lab's folder: everything that the lab writes is below it, and it goes when the lab ends. What stands for boot
// programs, installers, the agent's executable and Kubernetes images is written here, and says of itself what it is.

import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { stringify } from 'yaml'
import { assetFiles, configText, documents, type Ports, VERSION_INSTALLED, VERSION_UPGRADED } from './documents.ts'
import { quote } from './rack/program-server.ts'
import { extensionText } from './rack/system.ts'

export interface Folder {
  readonly path: string
  readonly config: string
  readonly data: string
  readonly rack: string
  readonly log: string
}

/** A unix socket's path is at most 107 bytes (unix(7)); the rack's lies two names below the folder. */
const PATH_MAX = 80

export async function makeFolder(): Promise<Folder> {
  const above = tmpdir().length > PATH_MAX ? '/tmp' : tmpdir()
  const path = await mkdtemp(join(above, 'slipway-lab-'))
  return {
    path,
    config: join(path, 'slipway.yaml'),
    data: join(path, 'data'),
    rack: join(path, 'rack'),
    log: join(path, 'server.log')
  }
}

export async function removeFolder({ path }: Folder): Promise<void> {
  await rm(path, removal)
}

/** Processes that were just ended may leave a last file behind while we look: once more then. */
export const removal = { recursive: true, force: true, maxRetries: 5, retryDelay: 50 } as const

/** slipway.yaml, the documents beside it for people to read, and all that machines load. */
export async function fillFolder({ config, data, path }: Folder, ports: Ports): Promise<void> {
  await write(config, configText(data, ports), 0o600)
  await write(
    join(path, 'documents.yaml'),
    documents(ports)
      .map(one => stringify(one))
      .join('---\n'),
    0o600
  )
  await mkdir(data, { mode: 0o700 })
  for (const name of bootPrograms) await write(join(data, 'boot', name), placeholder(name), 0o644)
  for (const [folder, names] of Object.entries(assetFiles)) {
    for (const name of names) await write(join(data, 'assets', folder, name), placeholder(`${folder}/${name}`), 0o644)
  }
  for (const arch of ['x86_64', 'arm64']) {
    await write(join(data, 'agents', `slipway-agent-${arch}`), agentLauncher(), 0o755)
    for (const version of [VERSION_INSTALLED, VERSION_UPGRADED]) {
      const file = join(data, 'extensions', `kubernetes-${version}-${arch}.raw`)
      await write(file, extensionText(version, arch), 0o644)
    }
  }
}

/** iPXE for every firmware: loaded packet by packet, and run by the rack's own small iPXE. */
const bootPrograms = ['undionly.kpxe', 'snponly.efi', 'ipxe.efi', 'ipxe-arm64.efi']
/** A hundredth to a tenth of the real ones: enough for a transfer of many blocks. */
const PLACEHOLDER_BYTES = 60_000

function placeholder(name: string): string {
  return `${name}: simulated by slipway lab, a real one belongs here.\n`.padEnd(PLACEHOLDER_BYTES, '.')
}

/** In the lab the agent runs from this checkout's source; a release is one executable file (npm run build:agent). */
function agentLauncher(): string {
  const here = import.meta.dirname
  const words = [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    '--import',
    join(here, 'leash.ts'),
    join(here, '..', '..', 'agent', 'main.ts')
  ]
  return `#!/bin/sh\n# slipway-agent of the lab: runs the agent from its source.\nexec ${words.map(quote).join(' ')} "$@"\n`
}

async function write(file: string, text: string, mode: number): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text)
  await chmod(file, mode)
}
