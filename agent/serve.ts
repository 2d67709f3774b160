// Puts the agent together from the machine's files, programs and clocks, and runs its loop until told to stop.

import { setTimeout as wait } from 'node:timers/promises'
import { createKubeClient } from '../server/kubeapi/client.ts'
import { fileCredentials } from '../server/kubeapi/files.ts'
import { createAgent } from './agent.ts'
import { createClient } from './client.ts'
import { Fault } from './fault.ts'
import { createFiles, type Files } from './files.ts'
import { createHardware } from './hardware/files.ts'
import { openJournal } from './journal.ts'
import { createNodeApi } from './kube/node.ts'
import { createNodeWatch } from './kube/watch.ts'
import type { Log } from './log.ts'
import { loop } from './loop.ts'
import { paths } from './paths.ts'
import { decodeConfig } from './replies.ts'
import { createRun } from './run.ts'

export interface ServeOptions {
  readonly config: string
  readonly root: string
  readonly path: string
  readonly log: Log
}

const pace = { backoffMs: 1_000, backoffMaxMs: 30_000 }

export async function serve({ config: configPath, root, path, log }: ServeOptions, signal: AbortSignal): Promise<void> {
  const files = createFiles(root)
  const config = await readConfig(files, configPath)
  const journal = await openJournal(files)
  const client = createClient(config.server)
  const kube = createKubeClient(fileCredentials(paths.kubeletConf, root))
  const agent = await createAgent({
    config,
    files,
    run: createRun(path, root),
    client,
    journal,
    nodeApi: name => createNodeApi(kube, name),
    hardware: createHardware(root, error => log.warn('hardware.partly', { reason: String(error) })),
    log,
    now: () => new Date()
  })
  const { wake, sleep } = createSleeper()
  const watch = createNodeWatch(kube, wake, error => log.info('watch.failed', { reason: String(error) }), signal)
  const failed = (error: unknown, failures: number) => {
    log.warn('tick.failed', { failures, reason: error instanceof Error ? error.message : String(error) })
  }
  const tick = async (signal: AbortSignal) => {
    const waitMs = await agent.tick(signal)
    watch.follow(agent.nodeName())
    return waitMs
  }
  await loop(pace, { tick, failed, sleep, random: Math.random }, signal)
  client.close()
  kube.close()
}

async function readConfig(files: Files, path: string) {
  const text = await files.read(path)
  if (text === null) throw new Fault(`${path} is missing: it is written when the machine is installed`)
  try {
    return decodeConfig(JSON.parse(text))
  } catch (error) {
    throw new Fault(`${path} is wrong: ${(error as Error).message}`, { cause: error })
  }
}

/** A sleep that a word ends. A word that comes while nobody sleeps ends the next one. */
function createSleeper() {
  let woken = new AbortController()
  return {
    wake: () => woken.abort(),
    sleep: async (ms: number, signal: AbortSignal) => {
      await wait(ms, undefined, { signal: AbortSignal.any([signal, woken.signal]) }).catch((error: unknown) => {
        if ((error as Error).name !== 'AbortError') throw error
      })
      woken = new AbortController()
    }
  }
}
