// assets.json: what `slipway assets import` put into the data folder, file by file, with its digest. Pure: reading and
// writing it is files.ts beside this.

import { type Static, Type } from 'typebox'
import { Fault } from '../../core/fault.ts'
import { compileSchema } from '../../core/schema.ts'

const strict = { additionalProperties: false }

const Entry = Type.Object(
  {
    sha256: Type.String({ pattern: '^[0-9a-f]{64}$', description: 'a SHA-256 in hex' }),
    size: Type.Integer({ minimum: 0 }),
    /** When the file was last written, in milliseconds: a file that still says so need not be read by `list`. */
    modifiedMs: Type.Number(),
    at: Type.String({ format: 'date-time' }),
    /** Where it came from, for a person: a path, a URL without its query, a file in a package. */
    from: Type.String({ maxLength: 4096 })
  },
  strict
)
export type Entry = Static<typeof Entry>

const checkShape = compileSchema(
  Type.Object({ version: Type.Literal(1), files: Type.Record(Type.String({ pattern: '^.*$' }), Entry, strict) }, strict)
)

/** By path below the data folder, such as boot/ipxe.efi. */
export type Manifest = ReadonlyMap<string, Entry>

/** The folders below the data folder from which machines are given files. */
export const assetFolders = ['boot', 'assets', 'agents', 'extensions'] as const

/** Throws Fault invalid for a text that we did not write; `file` is its name for a person. */
export function parseManifest(text: string, file: string): Manifest {
  const raw = parseJson(text, file)
  const problems = checkShape(raw)
  const { files } = raw as { files?: Record<string, Entry> }
  const strange = problems.length > 0 ? undefined : Object.keys(files!).find(path => !isAssetPath(path))
  if (strange !== undefined) throw broken(file, [{ path: strange, message: 'is no file of the data folder' }])
  if (problems.length > 0) throw broken(file, problems)
  return new Map(Object.entries(files!))
}

export function formatManifest(manifest: Manifest): string {
  const files = Object.fromEntries([...manifest].toSorted(([a], [b]) => (a < b ? -1 : 1)))
  return `${JSON.stringify({ version: 1, files }, null, 1)}\n`
}

/** One word of a path that machines may ask for: no dot files but the two of an installer tree, no '..', no blanks. */
export const assetWord = /^([A-Za-z0-9_+@][A-Za-z0-9._+@=-]*|\.(treeinfo|discinfo))$/

/** Whether this is a path of a file in one of the folders, as machines may ask for it. */
export function isAssetPath(path: string): boolean {
  const [folder = '', ...words] = path.split('/')
  return (assetFolders as readonly string[]).includes(folder) && words.length > 0 && words.every(isWord)
}

function isWord(word: string): boolean {
  return assetWord.test(word) && word.length <= 255
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw broken(file, [], cause)
  }
}

function broken(file: string, problems: Fault['problems'], cause?: unknown): Fault {
  const remedy = 'put it back from a backup; or move it away and import everything again'
  return new Fault('invalid', `${file}, which holds the digests of imported files, cannot be understood: ${remedy}`, {
    problems,
    cause
  })
}
