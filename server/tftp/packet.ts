// TFTP packets (RFC 1350, options RFC 2347) and the names inside them. Bytes only: transfers are in session.ts.
//
//   RRQ    | 01 | filename | 0 | mode | 0 | option | 0 | value | 0 | …
//   WRQ    | 02 | as RRQ: decoded to be refused
//   DATA   | 03 | block #  | 0..blksize bytes |
//   ACK    | 04 | block #  |
//   ERROR  | 05 | code     | message | 0 |
//   OACK   | 06 | option   | 0 | value | 0 | …

export type Mode = 'octet' | 'netascii'
export type Options = Readonly<Record<string, string>>

export type Packet =
  | { readonly op: 'rrq'; readonly filename: string; readonly mode: Mode; readonly options: Options }
  | { readonly op: 'wrq'; readonly filename: string }
  | { readonly op: 'data'; readonly block: number; readonly bytes: Buffer }
  | { readonly op: 'ack'; readonly block: number }
  | { readonly op: 'error'; readonly code: number; readonly message: string }
  | { readonly op: 'oack'; readonly options: Options }

export const errorCode = { undefined: 0, notFound: 1, denied: 2, illegal: 4, options: 8 } as const

/** RFC 2347 §3 gives a request 512 bytes; twice that is generous. */
const REQUEST_SIZE_MAX = 1024
/** More options than TFTP has: what comes after them is not read. */
const OPTIONS_MAX = 16

/** Five facts of at most 64 characters, each blank of them three, with their names. */
const QUESTION = /^\/?boot\/grub\?[\w.,()%+=&:-]{1,700}$/

/** Reads a packet; null for anything that is none: TFTP drops, it does not argue. */
export function decode(bytes: Buffer): Packet | null {
  if (bytes.length < 4) return null
  switch (bytes.readUInt16BE(0)) {
    case 1:
      return decodeRead(bytes)
    case 2:
      return { op: 'wrq', filename: strings(bytes.subarray(2, REQUEST_SIZE_MAX))[0] ?? '' }
    case 3:
      return { op: 'data', block: bytes.readUInt16BE(2), bytes: bytes.subarray(4) }
    case 4:
      return { op: 'ack', block: bytes.readUInt16BE(2) }
    case 5:
      return { op: 'error', code: bytes.readUInt16BE(2), message: strings(bytes.subarray(4))[0] ?? '' }
    case 6:
      return { op: 'oack', options: pairs(strings(bytes.subarray(2))) }
    default:
      return null
  }
}

export function encode(packet: Packet): Buffer {
  switch (packet.op) {
    case 'rrq':
      return Buffer.concat([words(1), zeroEnded(packet.filename, packet.mode, ...flat(packet.options))])
    case 'wrq':
      return Buffer.concat([words(2), zeroEnded(packet.filename, 'octet')])
    case 'data':
      return Buffer.concat([words(3, packet.block), packet.bytes])
    case 'ack':
      return words(4, packet.block)
    case 'error':
      return Buffer.concat([words(5, packet.code), zeroEnded(packet.message)])
    case 'oack':
      return Buffer.concat([words(6), zeroEnded(...flat(packet.options))])
  }
}

/**
 * The one spelling of a name that clients spell in many ways: shim asks for `//grubx64.efi`, GRUB for `/grub/grub.cfg`,
 * others for `./name`. Null for a name that no boot file has: `..`, a backslash, control characters, too long. A GRUB
 * without HTTP puts what it knows of its machine behind its script's name, as others do in a URL.
 */
export function normaliseName(filename: string): string | null {
  if (QUESTION.test(filename)) return filename.slice(filename.indexOf('b'))
  if (filename.length > 255 || !/^[\w./+@-]+$/.test(filename)) return null
  const parts = filename.split('/').filter(part => part !== '' && part !== '.')
  return parts.length === 0 || parts.some(part => /^\.+$/.test(part)) ? null : parts.join('/')
}

function decodeRead(bytes: Buffer): Packet | null {
  if (bytes.length > REQUEST_SIZE_MAX) return null
  const [filename, mode, ...rest] = strings(bytes.subarray(2))
  const known = mode?.toLowerCase()
  if (!filename || (known !== 'octet' && known !== 'netascii')) return null
  return { op: 'rrq', filename, mode: known, options: pairs(rest) }
}

/** The texts that end with NUL; what follows the last NUL is not one. */
function strings(bytes: Buffer): string[] {
  return bytes.toString('latin1').split('\0').slice(0, -1)
}

/** Option names are case-insensitive (RFC 2347 §2). The first of two equal ones counts. */
function pairs(texts: readonly string[]): Options {
  const options: Record<string, string> = Object.create(null)
  for (let i = 0; i + 1 < texts.length && i < OPTIONS_MAX * 2; i += 2)
    options[texts[i]!.toLowerCase()] ??= texts[i + 1]!
  return options
}

function zeroEnded(...texts: string[]): Buffer {
  return Buffer.from(texts.map(text => `${text}\0`).join(''), 'latin1')
}

function flat(options: Options): string[] {
  return Object.entries(options).flat()
}

function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 2)
  values.forEach((value, i) => bytes.writeUInt16BE(value, i * 2))
  return bytes
}
