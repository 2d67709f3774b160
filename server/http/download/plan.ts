// What a request for a file is answered with: preconditions and one range, as RFC 9110 §13 and §14 say. Pure; reading
// and sending is serve.ts. Own code: libraries ask by name what may be another file than the one whose bytes follow.

export interface FileFacts {
  readonly bytes: number
  readonly modifiedMs: number
  /** Changes with every write and every replacement, and nobody can set it back. */
  readonly changedNs: bigint
}

/** Lower-case names, as Node gives them. */
export type RequestHeaders = Readonly<Record<string, string | string[] | undefined>>

export type Plan =
  | { readonly kind: 'body'; readonly status: 200 | 206; readonly first: number; readonly bytes: number }
  | { readonly kind: 'unchanged'; readonly status: 304 }
  | { readonly kind: 'refused'; readonly status: 412 | 416 }

/** Its headers but for content-type and content-length, which is `bytes` of a body. */
export interface Answer {
  readonly plan: Plan
  readonly headers: Readonly<Record<string, string>>
}

/** Several ranges are answered with the whole file, which §14.2 allows; boot clients never ask for them. */
export function planAnswer(method: string, asked: RequestHeaders, file: FileFacts, now: Date): Answer {
  const validators = {
    etag: tagOf(file),
    'last-modified': new Date(file.modifiedMs).toUTCString(),
    'accept-ranges': 'bytes'
  }
  const status = precondition(asked, validators, file)
  if (status === 412) return { plan: { kind: 'refused', status }, headers: validators }
  if (status === 304) return { plan: { kind: 'unchanged', status }, headers: validators }
  const whole: Answer = { plan: { kind: 'body', status: 200, first: 0, bytes: file.bytes }, headers: validators }
  const range = text(asked['range'])
  // §14.2: GET is the only method that ranges are defined for.
  if (method !== 'GET' || range === null || !isRangeWanted(asked, validators, file, now)) return whole
  const part = parseRange(range, file.bytes)
  if (part === 'ignored') return whole
  if (part === 'unsatisfiable') {
    const headers = { ...validators, 'content-range': `bytes */${file.bytes}` }
    return { plan: { kind: 'refused', status: 416 }, headers }
  }
  const { first, last } = part
  const headers = { ...validators, 'content-range': `bytes ${first}-${last}/${file.bytes}` }
  return { plan: { kind: 'body', status: 206, first, bytes: last - first + 1 }, headers }
}

/** A strong validator (§8.8.1): equal tags mean equal bytes, so that a download may be resumed by it. */
function tagOf({ changedNs, bytes }: FileFacts): string {
  return `"${changedNs.toString(16)}-${bytes.toString(16)}"`
}

type Validators = { readonly etag: string; readonly 'last-modified': string }

/** The order of §13.2.2. */
function precondition(asked: RequestHeaders, { etag }: Validators, file: FileFacts): 200 | 304 | 412 {
  const ifMatch = text(asked['if-match'])
  const unmodified = dateOf(asked['if-unmodified-since'])
  if (ifMatch !== null) {
    // Strong comparison: a weak tag of ours does not exist.
    if (ifMatch.trim() !== '*' && !tagsIn(ifMatch).includes(etag)) return 412
  } else if (unmodified !== null && seconds(file.modifiedMs) > seconds(unmodified)) return 412
  const noneMatch = text(asked['if-none-match'])
  if (noneMatch !== null) {
    const known = tagsIn(noneMatch).map(tag => tag.replace(/^W\//, ''))
    return noneMatch.trim() === '*' || known.includes(etag) ? 304 : 200
  }
  const modified = dateOf(asked['if-modified-since'])
  return modified !== null && seconds(file.modifiedMs) <= seconds(modified) ? 304 : 200
}

/** §13.1.5: a tag must be the very tag; a date the very date, of a file that rested a second before now (§8.8.2.2). */
function isRangeWanted(asked: RequestHeaders, { etag }: Validators, { modifiedMs }: FileFacts, now: Date): boolean {
  const condition = text(asked['if-range'])?.trim()
  if (condition === undefined) return true
  if (condition.includes('"')) return condition === etag
  const date = dateOf(condition)
  return date !== null && seconds(date) === seconds(modifiedMs) && now.getTime() - modifiedMs >= 1000
}

type Part = { readonly first: number; readonly last: number }

/** §14.1.1. What does not have that form is as if it were not there; so are several ranges. */
function parseRange(range: string, bytes: number): Part | 'ignored' | 'unsatisfiable' {
  const form = /^bytes=[ \t,]*(?:(\d+)-(\d*)|-(\d+))[ \t,]*$/i.exec(range)
  if (form === null) return 'ignored'
  const [, from = '', to = '', suffix = ''] = form
  if (suffix !== '' && Number(suffix) === 0) return 'unsatisfiable'
  const first = suffix === '' ? Number(from) : Math.max(bytes - Number(suffix), 0)
  const last = to === '' ? Infinity : Number(to)
  // Whoever begins at the start of an empty file has all of it; no Content-Range could say so.
  if (last < first || (first === 0 && bytes === 0)) return 'ignored'
  return first >= bytes ? 'unsatisfiable' : { first, last: Math.min(last, bytes - 1) }
}

function tagsIn(list: string): string[] {
  return list.match(/(?:W\/)?"[^"]*"/g) ?? []
}

/** The three forms of §5.6.7; null when it is none of them. The third says no zone and means GMT as well. */
function dateOf(value: RequestHeaders[string]): number | null {
  const date = text(value)?.trim() ?? ''
  const form = /^[A-Z][a-z]+, \d\d[ -][A-Z][a-z]{2}[ -]\d{2,4} \d\d:\d\d:\d\d GMT$/
  const asctime = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}$/
  const parsed = form.test(date) ? Date.parse(date) : asctime.test(date) ? Date.parse(`${date} GMT`) : NaN
  return Number.isNaN(parsed) ? null : parsed
}

/** HTTP's dates have no fractions. */
function seconds(ms: number): number {
  return Math.floor(ms / 1000)
}

function text(value: RequestHeaders[string]): string | null {
  return typeof value === 'string' ? value : null
}

/** UEFI HTTP boot goes by these or by the name's ending (UEFI 2.10 §24.7.2); for all else no client of ours cares. */
const types = new Map([
  ['efi', 'application/efi'],
  ['iso', 'application/vnd.efi-iso'],
  ['json', 'application/json'],
  ['xml', 'application/xml'],
  ...['ks', 'cfg', 'ipxe', 'txt', 'treeinfo'].map(ending => [ending, 'text/plain; charset=utf-8'] as const)
])

export function typeOf(name: string): string {
  return types.get(name.slice(name.lastIndexOf('.') + 1)) ?? 'application/octet-stream'
}
