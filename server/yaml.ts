// Text to values: several YAML documents in one text, or JSON, which YAML 1.2 contains. Bounded, and without the
// parts of YAML that surprise: no custom tags, no merge keys, no duplicate keys, few aliases.

import { LineCounter, parseAllDocuments } from 'yaml'
import { Fault, type Problem } from './core/fault.ts'

/** In characters: some hundred documents. The parser needs 2 s of a slow processor for the worst text of this size. */
const TEXT_MAX = 256 * 1024
const DOCUMENTS_MAX = 2000
/** How often aliases may repeat what they name: people use a few; bombs need thousands. */
const ALIAS_MAX = 100
const PROBLEMS_MAX = 20
const tooDeep = 'is nested too deeply'

/** The documents of a text, empty ones left out. Throws Fault invalid with every problem and its line. */
export function parseYaml(text: string, name: string): unknown[] {
  if (text.length > TEXT_MAX) throw invalid(name, [{ path: name, message: 'is larger than 256 KiB; split it' }])
  const lineCounter = new LineCounter()
  const documents = parse(text, name, lineCounter)
  if (documents.length > DOCUMENTS_MAX) {
    throw invalid(name, [{ path: name, message: `holds more than ${DOCUMENTS_MAX} documents; split it` }])
  }
  const problems = documents.flatMap(({ errors, warnings }) =>
    [...errors, ...warnings].map(({ pos, message }) => ({
      path: `${name}:${lineCounter.linePos(pos[0]).line}`,
      message: message.includes('Maximum call stack') || message.includes('Stack overflow') ? tooDeep : message
    }))
  )
  if (problems.length > 0) throw invalid(name, problems.slice(0, PROBLEMS_MAX))
  return documents.flatMap(document => {
    try {
      const value: unknown = document.toJS({ maxAliasCount: ALIAS_MAX })
      return value === null ? [] : [value]
    } catch (error) {
      // The one way in which a document without errors cannot become a value: aliases.
      if (!(error instanceof ReferenceError)) throw error
      const bomb = error.message.startsWith('Excessive alias count')
      throw invalid(name, [{ path: name, message: bomb ? 'repeats too much by aliases; write it out' : error.message }])
    }
  })
}

function parse(text: string, name: string, lineCounter: LineCounter) {
  const options = { lineCounter, prettyErrors: false, uniqueKeys: true, merge: false, version: '1.2' } as const
  try {
    const documents = parseAllDocuments(text, options)
    return Array.isArray(documents) ? documents : []
  } catch (error) {
    // The parser recurses: a text nested thousands deep ends its stack before it ends its memory.
    if (!(error instanceof RangeError)) throw error
    throw invalid(name, [{ path: name, message: tooDeep }])
  }
}

function invalid(name: string, problems: readonly Problem[]): Fault {
  return new Fault('invalid', `${name} cannot be read as YAML`, { problems })
}
