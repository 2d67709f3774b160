// Writes what rbac.ts describes into the cluster: creates what is missing, mends what differs, leaves the rest alone.

import { isKubeError } from '../kubeapi/errors.ts'
import type { KubeClient } from '../kubeapi/client.ts'
import { paths } from '../kubeapi/paths.ts'
import { type Installed, installedObjects } from './rbac.ts'

/** Returns how many objects it wrote. Throws KubeError when our identity may not. */
export async function installObjects(kube: KubeClient, signal?: AbortSignal): Promise<number> {
  let written = 0
  for (const object of installedObjects) if (await ensure(kube, object, signal)) written += 1
  return written
}

async function ensure(kube: KubeClient, { collection, object }: Installed, signal?: AbortSignal): Promise<boolean> {
  const options = signal === undefined ? {} : { signal }
  const path = paths.named(collection, object.metadata.name)
  try {
    const found = await kube.get<object>(path, options)
    if (contains(found, object)) return false
    // A merge patch replaces lists whole, so what others added to ours goes too.
    await kube.patch(path, object, 'merge', options)
  } catch (error) {
    if (!isKubeError(error, 404)) throw error
    await kube.create(collection, object, options)
  }
  return true
}

/** Whether `found` says all that `wanted` says. The API server adds defaults to ours; lists must be of one length. */
export function contains(found: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    return Array.isArray(found) && found.length === wanted.length && wanted.every((item, i) => contains(found[i], item))
  }
  if (typeof wanted !== 'object' || wanted === null) return found === wanted
  if (typeof found !== 'object' || found === null) return false
  const fields: Readonly<Record<string, unknown>> = { ...found }
  return Object.entries(wanted).every(([key, value]) => contains(fields[key], value))
}
