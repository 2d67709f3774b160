// The journal: one JSON record a line, on the disk before a step that changes the machine begins and after it ended. It
// is the agent's whole memory. A torn last line (power cut in the middle of a write) was never promised and is dropped;
// a broken line in the middle is a damaged disk, and said so.
//
//   {"seq":17,"at":"…","step":"cordon","edge":"begin","message":""}
//   {"snapshot":{progress…},"seq":17}          first line after a compaction: what all dropped lines came to

import { Fault } from './fault.ts'
import type { Files } from './files.ts'
import { paths } from './paths.ts'
import { advance, type JournalRecord, noProgress, type Progress } from './progress.ts'

export type Entry = Pick<JournalRecord, 'step' | 'edge' | 'message' | 'data'>

export interface Journal {
  readonly progress: () => Progress
  /** Records with a greater sequence number, oldest first. */
  readonly after: (seq: number) => readonly JournalRecord[]
  /** On the disk when it resolves. */
  readonly write: (entry: Entry, now: Date) => Promise<void>
}

/** As the wire has it. */
const messageCharactersMax = 1024
/** About 200 KB; an upgrade writes some 25 records. */
const linesMax = 1000
const linesKept = 200

interface Content {
  readonly progress: Progress
  readonly records: readonly JournalRecord[]
  readonly seq: number
  /** Whether the file ends in the middle of a line. */
  readonly torn: boolean
}

export async function openJournal(files: Pick<Files, 'read' | 'append' | 'write'>): Promise<Journal> {
  const text = await files.read(paths.journal)
  const content = parseJournal(text ?? '')
  let { progress, seq } = content
  let records = content.records
  const compact = async () => files.write(paths.journal, formatJournal({ progress, seq, records }), 0o600)
  // The next record must begin on a line of its own.
  if (content.torn) await compact()
  return {
    progress: () => progress,
    after: reported => records.filter(record => record.seq > reported),
    write: async (entry, now) => {
      const message = entry.message.slice(0, messageCharactersMax)
      const record: JournalRecord = { seq: seq + 1, at: now.toISOString(), ...entry, message }
      await files.append(paths.journal, `${JSON.stringify(record)}\n`)
      seq = record.seq
      progress = advance(progress, record)
      records = [...records, record]
      if (records.length < linesMax) return
      records = records.slice(-linesKept)
      await compact()
    }
  }
}

function formatJournal({ progress, seq, records }: Omit<Content, 'torn'>): string {
  return `${[{ snapshot: progress, seq }, ...records].map(line => JSON.stringify(line)).join('\n')}\n`
}

/** Records kept beside a snapshot are in it already: only those after it are folded. */
export function parseJournal(text: string): Content {
  const lines = text.split('\n')
  const torn = lines.pop() !== ''
  let progress = noProgress
  let seq = 0
  const records: JournalRecord[] = []
  for (const [index, line] of lines.entries()) {
    const value = parseLine(line, index)
    if (value.snapshot !== undefined) {
      progress = { ...noProgress, ...value.snapshot }
      seq = value.seq
      continue
    }
    const record = value as JournalRecord
    records.push(record)
    if (record.seq <= seq) continue
    progress = advance(progress, record)
    seq = record.seq
  }
  return { progress, records, seq, torn }
}

function parseLine(line: string, index: number): { seq: number; snapshot?: Progress } {
  try {
    const value = JSON.parse(line) as { seq?: unknown; snapshot?: Progress }
    if (Number.isSafeInteger(value.seq)) return value as { seq: number }
  } catch {
    // Said below, for both ways of being broken.
  }
  throw new Fault(
    `the journal ${paths.journal} is damaged at line ${index + 1}: check the disk, move the file away, start again`
  )
}
