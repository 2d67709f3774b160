// Problems as people read them.

import type { Problem } from './fault.ts'

/** One line a problem, in the order found. */
export function formatProblems(problems: readonly Problem[]): string {
  return problems.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('\n')
}
