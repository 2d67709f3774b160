// The lab's table as text: columns as wide as their content, cut to the terminal, nothing in it that a terminal would
// obey. Pure.

import type { Row } from './view.ts'

const heads = ['MACHINE', 'NODE', 'FIRMWARE', 'SYSTEM', 'STAGE', 'SINCE', 'ADDRESS', 'NEXT'] as const
const colours: Record<Row['tone'], string> = { waiting: '33', working: '36', good: '32', bad: '31' }

/** Lines without line ends. `columns`: of the terminal. */
export function tableLines(rows: readonly Row[], now: Date, columns: number, colour: 'colour' | 'plain'): string[] {
  const cells = rows.map(row => [
    row.machine,
    row.node ?? '-',
    row.firmware,
    row.system,
    row.stage,
    ago(row.since, now),
    row.address ?? '-',
    row.next
  ])
  const widths = heads.map((head, at) => Math.max(head.length, ...cells.map(row => plain(row[at]!).length)))
  const line = (row: readonly string[]): string =>
    row
      .map((cell, at) => (at === heads.length - 1 ? plain(cell) : plain(cell).padEnd(widths[at]!)))
      .join('  ')
      .slice(0, columns)
      .trimEnd()
  return [line(heads), ...cells.map((row, at) => paint(line(row), rows[at]!, colour))]
}

function paint(line: string, { stage, tone }: Row, colour: 'colour' | 'plain'): string {
  const at = line.indexOf(plain(stage))
  if (colour === 'plain' || at === -1) return line
  const end = at + plain(stage).length
  return `${line.slice(0, at)}\u001b[${colours[tone]}m${line.slice(at, end)}\u001b[0m${line.slice(end)}`
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
