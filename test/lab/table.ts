// The lab's table as text: columns as wide as their content, cut to the terminal, nothing in it that a terminal would
// obey. Pure.

import type { Row } from './view.ts'

const heads = ['MACHINE', 'NODE', 'FIRMWARE', 'SYSTEM', 'STAGE', 'SINCE', 'ADDRESS', 'NEXT'] as const
const colours: Record<Row['tone'], string> = { waiting: '33', working: '36', good: '32', bad: '31' }

/** More rows than this would scroll away under the cursor: those that need nothing are left out first. */
const ROWS_MAX = 20

/** Lines without line ends. `columns`: of the terminal. */
export function tableLines(all: readonly Row[], now: Date, columns: number, colour: 'colour' | 'plain'): string[] {
  const rows = all.length <= ROWS_MAX ? all : all.toSorted((a, b) => rank[a.tone] - rank[b.tone]).slice(0, ROWS_MAX)
  const cells = rows.map(row =>
    [
      row.machine,
      row.node ?? '-',
      row.firmware,
      row.system,
      row.stage,
      ago(row.since, now),
      row.address ?? '-',
      row.next
    ].map(plain)
  )
  const widths = heads.map((head, at) => Math.max(head.length, ...cells.map(row => row[at]!.length)))
  const lines = [heads, ...cells].map((row, index) => {
    const fitted = row.map((cell, at) => cell.padEnd(widths[at]!))
    const cut = fitted.join('  ').slice(0, columns).trimEnd()
    const from = fitted.slice(0, STAGE).reduce((sum, cell) => sum + cell.length + 2, 0)
    const tone = index === 0 || colour === 'plain' ? null : (rows[index - 1]?.tone ?? null)
    return tone === null ? cut : paint(cut, from, (row[STAGE] ?? '').length, colours[tone])
  })
  return rows.length === all.length ? lines : [...lines, `… and ${all.length - rows.length} more`]
}

const STAGE = 4
const rank: Record<Row['tone'], number> = { bad: 0, waiting: 1, working: 2, good: 3 }

function paint(line: string, from: number, length: number, code: string): string {
  const stage = line.slice(from, from + length)
  return `${line.slice(0, from)}\u001b[${code}m${stage}\u001b[0m${line.slice(from + length)}`
}

/** 7 s, 1 m 05 s */
export function ago(since: Date, now: Date): string {
  const seconds = Math.max(0, Math.round((now.getTime() - since.getTime()) / 1000))
  if (seconds < 60) return `${seconds} s`
  return `${Math.floor(seconds / 60)} m ${String(seconds % 60).padStart(2, '0')} s`
}

/** Printable characters of one line; what a machine says of itself may hold anything. */
export function plain(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]+/gu, ' ')
}
