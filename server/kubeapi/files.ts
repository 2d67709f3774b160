// Credentials from a kubeconfig on disk. The kubelet replaces its certificate by moving a symbolic link, and an
// operator may replace any of the files, so each use looks at what the paths lead to and reads again only when that
// changed.

import { readFile, stat } from 'node:fs/promises'
import { dirname, isAbsolute, join } from 'node:path'
import type { Credentials, CredentialSource } from './client.ts'
import { type Kubeconfig, KubeconfigError, type Material, parseKubeconfig } from './kubeconfig.ts'

const fileBytesMax = 1024 * 1024

/**
 * Credentials of the kubeconfig at `path`. Every path, also those inside the file, is taken below `root`: the lab
 * runs agents in folders of their own. The source gives the same object until one of the files changed.
 */
export function fileCredentials(path: string, root = '/'): CredentialSource {
  let known: { stamp: string; files: readonly string[]; credentials: Credentials } | null = null
  return async () => {
    if (known !== null && known.stamp === (await stampOf(known.files))) return known.credentials
    const file = join(root, path)
    const config = await parseKubeconfig(await read(file))
    const files = [file, ...referred(config).map(named => below(root, path, named))]
    // The stamp is taken first: a change while we read makes the next use read again.
    const stamp = await stampOf(files)
    const credentials = await credentialsOf(config, named => read(below(root, path, named)))
    known = { stamp, files, credentials }
    return credentials
  }
}

/** Credentials of a kubeconfig given as text, with everything inline. */
export async function textCredentials(text: string): Promise<CredentialSource> {
  const credentials = await credentialsOf(await parseKubeconfig(text), async named => {
    throw new KubeconfigError(`the kubeconfig refers to the file ${named}: put its content inline`)
  })
  return async () => credentials
}

async function credentialsOf(config: Kubeconfig, readNamed: (path: string) => Promise<string>): Promise<Credentials> {
  const pem = async (material: Material | null) =>
    material === null ? null : 'pem' in material ? material.pem : readNamed(material.path)
  const { token } = config
  return {
    server: config.server,
    serverName: config.serverName,
    caPem: await pem(config.ca),
    certificatePem: await pem(config.certificate),
    keyPem: await pem(config.key),
    token: token === null ? null : 'text' in token ? token.text : (await readNamed(token.path)).trim()
  }
}

function referred({ ca, certificate, key, token }: Kubeconfig): string[] {
  return [ca, certificate, key, token].flatMap(item => (item !== null && 'path' in item ? [item.path] : []))
}

function below(root: string, kubeconfig: string, path: string): string {
  return join(root, isAbsolute(path) ? path : join(dirname(kubeconfig), path))
}

async function read(path: string): Promise<string> {
  const { size } = await stat(path)
  if (size > fileBytesMax) throw new KubeconfigError(`${path} is larger than 1 MiB`)
  return readFile(path, 'utf8')
}

/** stat follows the link, so a moved kubelet-client-current.pem shows as another inode. */
async function stampOf(files: readonly string[]): Promise<string> {
  const stats = await Promise.all(files.map(async file => stat(file)))
  return stats.map(({ dev, ino, mtimeMs, size }) => `${dev}:${ino}:${mtimeMs}:${size}`).join(' ')
}
