// slipway serve: the server, until it is told to end. Composing it is server/serve.ts; this reads its configuration
// and turns signals into an orderly end.

import type { Command } from 'commander'
import { Fault } from '../core/fault.ts'
import { listed } from '../core/problems.ts'
import type { Config } from '../config/schema.ts'
import type { Rights } from '../privileges/run.ts'
import { Failure } from './failure.ts'

export function addServe(program: Command): void {
  program
    .command('serve')
    .description('run the server')
    .option('--config <file>', 'its configuration', 'slipway.yaml')
    .option('--user <name>', 'whom it becomes once its ports are open (or user: in the configuration)')
    .action(async ({ config: file, user: wanted }: { config: string; user?: string }) => {
      const config = await readChecked(file)
      const { createLog } = await import('../log.ts')
      const { startServer } = await import('../serve.ts')
      const { passedSockets } = await import('../activation.ts')
      const rights = await rightsOf(config, wanted ?? config.user)
      const sockets = passedSockets(process.env, process.pid)
      const log = createLog(config.log.level, process.stdout)
      const server = await startServer(config, { log, sockets, rights })
      // To a person, never to a log, which is kept: this opens one session as administrator.
      const { control } = server.urls
      if (process.stderr.isTTY) process.stderr.write(`page: ${control}/#code=${server.oneTimeCode()}\n`)
      await toldToEnd()
      await server.close()
    })
}

/** From here on this process is that user, but for what needs root. */
async function rightsOf(config: Config, user: string | null): Promise<Rights> {
  const { requireReadable, sameUser, workAs } = await import('../privileges/run.ts')
  if (user === null) return sameUser
  const rights = workAs(user, config.data)
  const { PGPASSFILE } = process.env
  requireReadable(user, [
    { key: 'the program itself', path: import.meta.filename }, // its threads and pages are read when they are needed
    ...(config.cluster === null ? [] : [{ key: 'cluster.kubeconfig', path: config.cluster.kubeconfig }]),
    ...(config.database === null || PGPASSFILE === undefined ? [] : [{ key: 'PGPASSFILE', path: PGPASSFILE }])
  ])
  return rights
}

/** Resolves at the first signal; at the second the process ends as it stands, which loses nothing either. */
function toldToEnd(): Promise<void> {
  return new Promise(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
  })
}

/** A wrong configuration is a wrong use of the program: every problem, and status 2. */
export async function readChecked(file: string): Promise<Config> {
  const { readConfig } = await import('../config/files.ts')
  try {
    return await readConfig(file)
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    throw new Failure(`${error.message}${listed(error.problems)}`, 2, { cause: error })
  }
}
