// How a command ends badly: 1 with the reason, 2 when it was called wrongly. Anything else that is thrown is a bug.

import { Fault } from '../core/fault.ts'
import { listed } from '../core/problems.ts'

export class Failure extends Error {
  override readonly name = 'Failure'
  readonly exitCode: 1 | 2
  constructor(message: string, exitCode: 1 | 2 = 1, options: ErrorOptions = {}) {
    super(message, options)
    this.exitCode = exitCode
  }
}

/** What is said on stderr, and the exit status. */
export function endingOf(error: unknown): { text: string; exitCode: number } {
  if (error instanceof Failure) return { text: `slipway: ${error.message}`, exitCode: error.exitCode }
  if (error instanceof Fault) {
    return { text: `slipway: ${error.message}${listed(error.problems)}`, exitCode: 1 }
  }
  return { text: `slipway: this is a bug: ${error instanceof Error ? error.stack : String(error)}`, exitCode: 1 }
}
