// Tells the server what was done and seen: journalled steps until it has accepted them, then only when something
// changed or for a sign of life. A report that fails costs nothing: the next one carries the same steps.

import type { Report } from '../server/contract/agent.ts'
import type { Files } from './files.ts'
import type { Journal } from './journal.ts'
import { paths } from './paths.ts'

const stepsMax = 200
const signOfLifeMs = 5 * 60_000

export type Seen = Pick<Report, 'phase' | 'kubeletVersion'> & {
  readonly hardware: Readonly<Record<string, string>> | null
}

export interface Reporter {
  /** Sends what is new; resolves when the server has it, or there is nothing to say. */
  readonly flush: (seen: Seen, now: Date, signal: AbortSignal) => Promise<void>
}

export async function openReporter(
  files: Pick<Files, 'read' | 'write'>,
  journal: Journal,
  send: (report: Report, signal: AbortSignal) => Promise<void>
): Promise<Reporter> {
  let reported = Number((await files.read(paths.reported)) ?? '0')
  if (!Number.isSafeInteger(reported)) reported = 0
  let last = { text: '', at: new Date(0) }

  async function flush({ phase, kubeletVersion, hardware }: Seen, now: Date, signal: AbortSignal): Promise<void> {
    const rest = { phase, kubeletVersion, ...(hardware !== null && { hardware }) }
    for (;;) {
      const records = journal.after(reported).slice(0, stepsMax)
      const isNew = JSON.stringify(rest) !== last.text || now.getTime() - last.at.getTime() >= signOfLifeMs
      if (records.length === 0 && !isNew) return
      const steps = records.map(({ seq, at, step, edge, message }) => ({ seq, at, step, edge, message }))
      await send({ ...rest, steps }, signal)
      last = { text: JSON.stringify(rest), at: now }
      const lastRecord = records.at(-1)
      if (lastRecord === undefined) return
      reported = lastRecord.seq
      await files.write(paths.reported, `${reported}\n`, 0o600)
    }
  }

  return { flush }
}
