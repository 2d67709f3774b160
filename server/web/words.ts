// How times and states are said. Nothing here touches the page.

/** For people: 12 s, 5 min, 3 h, 2 d. */
export function ago(from: string, now: number): string {
  const seconds = Math.max(0, Math.round((now - Date.parse(from)) / 1000))
  if (seconds < 100) return `${seconds} s`
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`
  return seconds < 48 * 3600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`
}

/** A clock time of today, or the date with it. */
export function clock(at: string, now: number): string {
  const time = new Date(at)
  const text = time.toLocaleTimeString(undefined, { hour12: false })
  return time.toDateString() === new Date(now).toDateString() ? text : `${time.toLocaleDateString()} ${text}`
}

/** What operators may do in which state; the server's own table decides (core/lifecycle.ts). */
export const actionsOf: Record<string, readonly Action[]> = {
  discovered: ['approve', 'reject', 'retire'],
  ignored: ['approve', 'retire'],
  approved: ['reject', 'retire'],
  installing: ['install', 'retire'],
  enrolled: ['install', 'retire'],
  ready: ['install', 'retire'],
  maintenance: ['retire'],
  failed: ['install', 'retire'],
  retired: ['approve']
}
export type Action = 'approve' | 'reject' | 'install' | 'retire'

/** What is asked before something that cannot be taken back; null where nothing is. */
export const questions: Record<Action, string | null> = {
  approve: null,
  reject: null,
  install: 'Install this machine anew at its next network boot? What runs on it ends then.',
  retire: 'Retire this machine? Its certificate is refused from now on and its node is deleted.'
}
