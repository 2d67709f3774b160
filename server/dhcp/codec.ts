// The value types that DHCP options carry, each a pair of functions. A codec throws MalformedPacket on bytes that it
// cannot accept and never returns half a value. Codes and their meaning: options.ts.

export interface Codec<T> {
  readonly encode: (value: T) => Buffer
  readonly decode: (bytes: Buffer) => T
}

export class MalformedPacket extends Error {
  override readonly name = 'MalformedPacket'
}

export const u8: Codec<number> = {
  encode: value => Buffer.of(value),
  decode: bytes => sized(bytes, 1).readUInt8()
}

export const u16: Codec<number> = {
  encode: value => Buffer.of(value >>> 8, value & 0xff),
  decode: bytes => sized(bytes, 2).readUInt16BE()
}

export const u32: Codec<number> = {
  encode(value) {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(value)
    return bytes
  },
  decode: bytes => sized(bytes, 4).readUInt32BE()
}

/** An IPv4 address as people write it. */
export const ip: Codec<string> = {
  encode: value => Buffer.from(value.split('.').map(Number)),
  decode: bytes => sized(bytes, 4).join('.')
}

export const text: Codec<string> = {
  encode: value => Buffer.from(value, 'utf8'),
  // Some PXE ROMs end strings with NUL although RFC 2132 §2 says they should not.
  decode: bytes => bytes.toString('utf8').replace(/\0+$/, '')
}

export const raw: Codec<Buffer> = {
  encode: value => value,
  decode: bytes => bytes
}

export function listOf<T>(item: Codec<T>, size: number): Codec<readonly T[]> {
  return {
    encode: values => Buffer.concat(values.map(item.encode)),
    decode(bytes) {
      if (bytes.length === 0 || bytes.length % size !== 0) {
        throw new MalformedPacket(`want a multiple of ${size} bytes, got ${bytes.length}`)
      }
      return Array.from({ length: bytes.length / size }, (_, i) =>
        item.decode(bytes.subarray(i * size, (i + 1) * size))
      )
    }
  }
}

function sized(bytes: Buffer, size: number): Buffer {
  if (bytes.length !== size) throw new MalformedPacket(`want ${size} bytes, got ${bytes.length}`)
  return bytes
}
