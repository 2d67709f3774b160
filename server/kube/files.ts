// The files of the cluster in the data folder: the kubeconfig that the first control plane handed over, and which
// machine that is. The claim is made by an exclusive create, so two machines that ask at once cannot both be told to
// begin a cluster.

import { access, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writePrivate } from '../data/files.ts'

export function kubeconfigPath(data: string): string {
  return join(data, 'kubeconfig')
}

function firstPath(data: string): string {
  return join(data, 'first-control-plane')
}

export async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch {
    return false // a question: absent is the answer
  }
}

/** 0600, whole or not at all, on the disk when it returns. */
export async function writeKubeconfig(data: string, text: string): Promise<void> {
  await writePrivate(kubeconfigPath(data), text)
}

/** The machine that begins the cluster: `machine` when nobody was before. */
export async function claimFirst(data: string, machine: string): Promise<string> {
  try {
    const file = await open(firstPath(data), 'wx', 0o600)
    try {
      await file.writeFile(`${machine}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    return machine
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') {
      const claimed = (await readFile(firstPath(data), 'utf8')).trim()
      // Cut short by a power failure: nobody was told yet.
      return claimed === '' ? reclaimFirst(data, machine) : claimed
    }
    throw error
  }
}

/** The one before is retired. */
export async function reclaimFirst(data: string, machine: string): Promise<string> {
  await writePrivate(firstPath(data), `${machine}\n`)
  return machine
}
