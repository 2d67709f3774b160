// Problems as people read them.

import type { Problem } from './fault.ts'

/** Below a heading: each on a line of its own, indented; nothing when there are none. */
export function listed(problems: readonly Problem[]): string {
  return problems.length === 0 ? '' : `\n${formatProblems(problems).replaceAll(/^/gm, '  ')}`
}

/** One line a problem, in the order found. */
export function formatProblems(problems: readonly Problem[]): string {
  return problems.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('\n')
}
