// `slipway serve` in a network namespace, started and asked as an operator does it: by its command line, and by curl on
// its API. What it serves, and to whom, is the caller's.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { stringify } from 'yaml'
import type { AnyDocument } from '../../server/contract/document.ts'
import type { Background, Namespace, Ran } from '../lab/namespace.ts'

/** `folder` holds slipway.yaml, whose data folder is data/ beside it; `address` is the server's own. */
export interface Served {
  readonly namespace: Namespace
  readonly folder: string
  readonly address: string
}

const program = join(import.meta.dirname, '..', '..', 'server', 'main.ts')
const START_TIMEOUT_MS = 60_000

/** Started as an operator does it; there when its health page answers. */
export async function startServer({ namespace, folder, address }: Served): Promise<Background> {
  const args = ['--disable-warning=ExperimentalWarning', program, 'serve', '--config', join(folder, 'slipway.yaml')]
  const server = namespace.start('slipway', process.execPath, args, { log: join(folder, 'server.log'), cwd: folder })
  let ended: number | string | null = null
  server.ended.then(
    status => (ended = status),
    (error: Error) => (ended = error.message)
  )
  await until(
    'the server to start',
    START_TIMEOUT_MS,
    async () => {
      if (ended !== null) throw new Error(`slipway serve ended (${ended}): ${server.output()}`)
      const probe = await namespace.run('curl', ['-sf', '-o', '/dev/null', `http://${address}:8080/healthz`])
      return probe.exitCode === 0 ? server : null
    },
    200
  )
  return server
}

/** `slipway …` as on the server's own host. */
export function slipwayIn({ namespace, folder, address }: Served, ...args: string[]): Promise<Ran> {
  const data = join(folder, 'data')
  const env = {
    SLIPWAY_SERVER: `https://${address}:8443`,
    SLIPWAY_TOKEN_FILE: join(data, 'admin.token'),
    SLIPWAY_CA_FILE: join(data, 'ca', 'ca.crt')
  }
  return namespace.run(process.execPath, ['--disable-warning=ExperimentalWarning', program, ...args], { env })
}

export async function apply(served: Served, documents: readonly AnyDocument[]): Promise<void> {
  const file = join(served.folder, 'documents.yaml')
  writeFileSync(file, documents.map(each => stringify(each)).join('---\n'))
  const { exitCode, stderr } = await slipwayIn(served, 'apply', '-f', file)
  if (exitCode !== 0) throw new Error(`slipway apply: ${stderr}`)
}

/** A GET on the API, as JSON. */
export async function ask<T>({ namespace, folder, address }: Served, path: string): Promise<T> {
  // The token goes by a file: any process may read another's arguments.
  const script = 'printf "header = \\"Authorization: Bearer %s\\"\\n" "$(cat "$1/admin.token")" | '
  const call = 'curl -sS --fail-with-body --max-time 30 --cacert "$1/ca/ca.crt" -K - "$2"'
  const args = ['-c', script + call, 'curl', join(folder, 'data'), `https://${address}:8443${path}`]
  const { exitCode, stdout, stderr } = await namespace.run('bash', args)
  if (exitCode !== 0) throw new Error(`GET ${path}: ${stderr}${stdout}`)
  return JSON.parse(stdout) as T
}

/** Asks until it is told something other than null. */
export async function until<T>(
  what: string,
  timeoutMs: number,
  find: () => Promise<T | null>,
  everyMs = 1_000
): Promise<T> {
  const expired = AbortSignal.timeout(timeoutMs)
  for (;;) {
    const answer = await find()
    if (answer !== null) return answer
    if (expired.aborted) throw new Error(`waited ${timeoutMs / 1000} s for ${what}`)
    await delay(everyMs)
  }
}
