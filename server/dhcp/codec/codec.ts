// The value types that DHCP options carry, each written into a packet and read out of one where it stands: nothing is
// copied or made on the way but the value. A codec throws MalformedPacket on bytes that it cannot accept and never
// returns half a value. Codes and their meaning: options.ts.

export interface Codec<T> {
  /** How many bytes the value takes. */
  readonly size: (value: T) => number
  readonly write: (value: T, into: Buffer, at: number) => void
  /** Reads what is from `start` up to `end`. */
  readonly read: (bytes: Buffer, start: number, end: number) => T
  readonly encode: (value: T) => Buffer
  readonly decode: (bytes: Buffer) => T
}

export class MalformedPacket extends Error {
  override readonly name = 'MalformedPacket'
}

export const u8: Codec<number> = codec(
  () => 1,
  (value, into, at) => void (into[at] = value),
  (bytes, start, end) => bytes[sized(start, end, 1)]!
)

export const u16: Codec<number> = codec(
  () => 2,
  (value, into, at) => void into.writeUInt16BE(value, at),
  (bytes, start, end) => bytes.readUInt16BE(sized(start, end, 2))
)

export const u32: Codec<number> = codec(
  () => 4,
  (value, into, at) => void into.writeUInt32BE(value, at),
  (bytes, start, end) => bytes.readUInt32BE(sized(start, end, 4))
)

/** An IPv4 address as people write it. */
export const ip: Codec<string> = codec(
  () => 4,
  writeAddress,
  (bytes, start, end) => readAddress(bytes, sized(start, end, 4))
)

export const text: Codec<string> = codec(
  value => Buffer.byteLength(value),
  (value, into, at) => void into.write(value, at),
  (bytes, start, end) => {
    // Some PXE ROMs end strings with NUL although RFC 2132 §2 says they should not.
    let last = end
    while (last > start && bytes[last - 1] === 0) last -= 1
    return bytes.toString('utf8', start, last)
  }
)

export const raw: Codec<Buffer> = codec(
  value => value.length,
  (value, into, at) => into.set(value, at),
  (bytes, start, end) => bytes.subarray(start, end)
)

export function listOf<T>(item: Codec<T>, size: number): Codec<readonly T[]> {
  return codec<readonly T[]>(
    values => values.length * size,
    (values, into, at) => values.forEach((value, n) => item.write(value, into, at + n * size)),
    (bytes, start, end) => {
      const length = end - start
      if (length === 0 || length % size !== 0) {
        throw new MalformedPacket(`want a multiple of ${size} bytes, got ${length}`)
      }
      const values: T[] = []
      for (let at = start; at < end; at += size) values.push(item.read(bytes, at, at + size))
      return values
    }
  )
}

/** Four bytes as people write them. */
export function readAddress(bytes: Buffer, at: number): string {
  return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`
}

/** The text comes from a decoded packet or a checked configuration. */
export function writeAddress(address: string, into: Buffer, at: number): void {
  let value = 0
  let place = at
  for (let n = 0; n < address.length; n++) {
    const char = address.charCodeAt(n)
    if (char === DOT) {
      into[place++] = value
      value = 0
    } else value = value * 10 + char - ZERO
  }
  into[place] = value
}

const DOT = 0x2e
const ZERO = 0x30

/** Where the value starts, when it has that size. */
function sized(start: number, end: number, size: number): number {
  if (end - start !== size) throw new MalformedPacket(`want ${size} bytes, got ${end - start}`)
  return start
}

function codec<T>(size: Codec<T>['size'], write: Codec<T>['write'], read: Codec<T>['read']): Codec<T> {
  const encode = (value: T): Buffer => {
    const bytes = Buffer.alloc(size(value))
    write(value, bytes, 0)
    return bytes
  }
  return { size, write, read, encode, decode: bytes => read(bytes, 0, bytes.length) }
}
