// Which data folder a command of this host works on: that of the server's configuration, or the one that was named.

import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { Failure } from './failure.ts'
import { readChecked } from './serve.ts'

export interface DataOptions {
  readonly config?: string
  readonly data?: string
}

export interface DataFolder {
  readonly data: string
  /** Whom the server runs as, and so whom the folder belongs to; null: whoever starts it. */
  readonly user: string | null
}

/** Throws a Failure, status 2, when nothing says which. */
export async function dataFolder({ config, data }: DataOptions): Promise<DataFolder> {
  if (data !== undefined) return { data: resolve(data), user: null }
  const file = config ?? ['slipway.yaml', '/etc/slipway/slipway.yaml'].find(path => existsSync(path))
  if (file === undefined) {
    throw new Failure(
      'there is no slipway.yaml here or in /etc/slipway: name it with --config, or a folder with --data',
      2
    )
  }
  const checked = await readChecked(file)
  return { data: resolve(checked.data), user: checked.user }
}
