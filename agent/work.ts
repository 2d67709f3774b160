// What a step is given and what comes of it: the words that steps.ts, upgrade.ts and agent.ts share.

import type { ServerApi } from './api.ts'
import type { Credentials } from './client.ts'
import type { Step } from './decide.ts'
import type { Facts, Observer } from './facts.ts'
import type { Files } from './files.ts'
import type { Entry } from './journal.ts'
import type { NodeApi, NodePatch } from './kube/node.ts'
import type { Download } from './os/sysext.ts'
import type { Progress, StepData } from './progress.ts'
import type { Run } from './run.ts'

export interface Work {
  readonly files: Files
  readonly run: Run
  readonly server: ServerApi
  readonly download: Download
  readonly observer: Observer
  readonly note: (entry: Entry) => Promise<void>
  readonly step: Step
  readonly progress: Progress
  readonly facts: Facts
  readonly own: Credentials
  readonly api: NodeApi
  readonly patch: NodePatch | null
  readonly now: Date
  readonly signal: AbortSignal
}

export type Outcome =
  | { readonly kind: 'done'; readonly message: string; readonly data?: StepData }
  | { readonly kind: 'wait'; readonly reason: string; readonly waitMs: number }

export type Action = (work: Work) => Promise<Outcome>

export function done(message: string, data?: StepData): Outcome {
  return { kind: 'done', message, ...(data !== undefined && { data }) }
}

export function wait(reason: string, waitMs: number): Outcome {
  return { kind: 'wait', reason, waitMs }
}
