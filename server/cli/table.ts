// Columns for a terminal. Widths are those of the text as it is shown, not as it is stored; texts from hardware cannot
// move the cursor, colour the screen or begin a line.

import { stripVTControlCharacters, styleText } from 'node:util'

export interface Column<T> {
  readonly title: string
  readonly value: (row: T) => string | null
  /** Only with -o wide. */
  readonly wide?: true
}

/** Longer cells are cut: a 4 KB serial number would push everything else out. */
const CELL_MAX = 60

export function renderTable<T>(columns: readonly Column<T>[], rows: readonly T[]): string {
  const cells = rows.map(row => columns.map(column => cell(column.value(row))))
  const titles = columns.map(({ title }) => title)
  const widths = titles.map((title, i) => Math.max(widthOf(title), ...cells.map(row => widthOf(row[i]!))))
  const line = (row: readonly string[]) =>
    row
      .map((text, i) => text + ' '.repeat(widths[i]! - widthOf(text)))
      .join('  ')
      .trimEnd()
  return [titles, ...cells].map(line).join('\n')
}

function cell(value: string | null): string {
  const text = plainText(value ?? '').replaceAll('\n', ' ')
  const letters = [...segmenter.segment(text)].map(({ segment }) => segment)
  if (text === '') return '-'
  return letters.length > CELL_MAX ? `${letters.slice(0, CELL_MAX - 1).join('')}…` : text
}

/** Hostile text for a terminal: no escape sequence, no control character but the line's end. */
export function plainText(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/[\p{Cc}\p{Bidi_Control}]/gu, mark =>
    mark === '\n' ? mark : '\ufffd'
  )
}

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' })

/** Cells of a terminal: East Asian wide letters and emoji take two (Unicode UAX #11, the ranges that matter). */
export function widthOf(text: string): number {
  let width = 0
  for (const { segment } of segmenter.segment(text)) {
    const point = segment.codePointAt(0)!
    width += /^\p{Mark}+$/u.test(segment) ? 0 : isWide(point) || /\p{Emoji_Presentation}/u.test(segment) ? 2 : 1
  }
  return width
}

function isWide(point: number): boolean {
  return wide.some(([from, to]) => point >= from && point <= to)
}

const wide: ReadonlyArray<readonly [number, number]> = [
  [0x1100, 0x115f],
  [0x2e80, 0xa4cf],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x20000, 0x3fffd]
]

/** Colour only for a person who wants it. */
export function paint(format: Parameters<typeof styleText>[0], text: string, stream: NodeJS.WriteStream): string {
  const wanted = stream.isTTY && (process.env.NO_COLOR ?? '') === ''
  return wanted ? styleText(format, text, { validateStream: false }) : text
}

/** For people: 12s, 5m, 3h, 2d. */
export function age(from: string, now: number): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(from)) / 1000))
  if (seconds < 120) return `${seconds}s`
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`
  return seconds < 48 * 3600 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86400)}d`
}
