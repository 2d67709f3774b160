// How the lab tells what happens: a table that is drawn again on a terminal, a line for each change elsewhere, or one
// JSON event a line. Nothing but events goes to standard output with --json.

import { plain, tableLines } from './table.ts'
import type { Row } from './view.ts'

export interface LabIo {
  readonly out: (text: string) => void
  readonly error: (text: string) => void
  /** Width of the terminal; null when there is none. */
  readonly columns: () => number | null
  readonly colour: 'colour' | 'plain'
}

export interface LabEvent {
  /** lab.started, machine.stage, lab.ready, lab.upgraded, lab.failed, lab.ended */
  readonly event: string
  readonly [field: string]: unknown
}

export interface Report {
  /** Something that is said once. */
  readonly note: (text: string, event: LabEvent) => void
  /** The rows now; what changed since the last time is told. */
  readonly rows: (rows: readonly Row[]) => void
  /** The table is not drawn again: what follows stands below it. */
  readonly settle: () => void
}

export function createReport(io: LabIo, format: 'json' | 'text', now: () => Date): Report {
  const start = now()
  const known = new Map<string, string>()
  const changed = (row: Row): boolean => {
    const stage = `${row.stage} ${row.node ?? ''} ${row.address ?? ''}`
    if (known.get(row.machine) === stage) return false
    known.set(row.machine, stage)
    return true
  }
  if (format === 'json') {
    const put = (event: LabEvent): void => io.out(`${JSON.stringify({ at: now().toISOString(), ...event })}\n`)
    return {
      note: (_text, event) => put(event),
      rows: rows => {
        for (const { tone: _tone, ...row } of rows.filter(changed)) put({ event: 'machine.stage', ...row })
      },
      settle: () => {}
    }
  }
  if (io.columns() === null) {
    return {
      note: text => io.out(`${text}\n`),
      rows: rows => {
        const seconds = ((now().getTime() - start.getTime()) / 1000).toFixed(1).padStart(6)
        for (const row of rows.filter(changed)) io.out(`${seconds} s  ${changeText(row)}\n`)
      },
      settle: () => {}
    }
  }
  return terminalReport(io, now)
}

function changeText({ machine, node, firmware, system, stage, address, next }: Row): string {
  const where = [node, firmware, system, address].filter(part => part !== null).join(', ')
  return plain(`${machine} (${where}): ${stage}; next: ${next}`)
}

/** Draws over the lines it drew before. Notes are put above the table. */
function terminalReport(io: LabIo, now: () => Date): Report {
  let drawn: readonly string[] = []
  const erase = (): string => (drawn.length === 0 ? '' : `\u001b[${drawn.length}A\u001b[J`)
  const draw = (): string => drawn.map(line => `${line}\n`).join('')
  return {
    note: text => io.out(`${erase()}${text}\n${draw()}`),
    rows: rows => {
      const before = erase()
      drawn = tableLines(rows, now(), io.columns() ?? 80, io.colour)
      io.out(before + draw())
    },
    settle: () => {
      drawn = []
    }
  }
}
