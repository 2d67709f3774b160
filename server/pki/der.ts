// The few DER values (X.690) that certificates and requests are made of, over node-forge's asn1. Bytes go in and out as
// Buffers; forge keeps them as binary strings.

import forge from 'node-forge'

export type Der = forge.asn1.Asn1

const { asn1 } = forge
const { Class, Type } = asn1

/** @types/node-forge has only the universal types; in a context the number means what the context says. */
const createTagged: (tagClass: number, tag: number, constructed: boolean, value: string | Der[]) => Der = asn1.create

/** More than any certificate or request of ours nests; the input may be anybody's. */
const DEPTH_MAX = 16

export function sequence(...values: readonly Der[]): Der {
  return asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, [...values])
}

/** A set of one: the only kind that needs no ordering. */
export function setOf(value: Der): Der {
  return asn1.create(Class.UNIVERSAL, Type.SET, true, [value])
}

export function oid(dotted: string): Der {
  return asn1.create(Class.UNIVERSAL, Type.OID, false, asn1.oidToDer(dotted).getBytes())
}

/** An unsigned big-endian number without leading zeros; a zero byte is put before a set top bit (X.690 §8.3). */
export function integer(bytes: Buffer): Der {
  const signed = bytes[0]! >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes
  return asn1.create(Class.UNIVERSAL, Type.INTEGER, false, signed.toString('latin1'))
}

export function yes(): Der {
  return asn1.create(Class.UNIVERSAL, Type.BOOLEAN, false, '\xff')
}

export function nothing(): Der {
  return asn1.create(Class.UNIVERSAL, Type.NULL, false, '')
}

export function octets(bytes: Buffer): Der {
  return asn1.create(Class.UNIVERSAL, Type.OCTETSTRING, false, bytes.toString('latin1'))
}

/** `unused`: how many of the last bits do not count. */
export function bits(bytes: Buffer, unused = 0): Der {
  return asn1.create(
    Class.UNIVERSAL,
    Type.BITSTRING,
    false,
    Buffer.concat([Buffer.of(unused), bytes]).toString('latin1')
  )
}

export function utf8(text: string): Der {
  return asn1.create(Class.UNIVERSAL, Type.UTF8, false, Buffer.from(text).toString('latin1'))
}

/** RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050. */
export function time(date: Date): Der {
  const early = date.getUTCFullYear() < 2050
  const text = early ? asn1.dateToUtcTime(date) : asn1.dateToGeneralizedTime(date)
  return asn1.create(Class.UNIVERSAL, early ? Type.UTCTIME : Type.GENERALIZEDTIME, false, text)
}

/** [tag] IMPLICIT over plain bytes. */
export function taggedBytes(tag: number, bytes: Buffer): Der {
  return createTagged(Class.CONTEXT_SPECIFIC, tag, false, bytes.toString('latin1'))
}

/** [tag] EXPLICIT. */
export function tagged(tag: number, value: Der): Der {
  return createTagged(Class.CONTEXT_SPECIFIC, tag, true, [value])
}

export function encode(value: Der): Buffer {
  return Buffer.from(asn1.toDer(value).getBytes(), 'latin1')
}

type FromDer = (
  bytes: string,
  options: { strict: boolean; parseAllBytes: boolean; decodeBitStrings: boolean; maxDepth: number }
) => Der

/** Throws an Error on anything but exactly one well-formed value. Bit strings stay bytes. */
export function decode(bytes: Buffer): Der {
  // @types/node-forge knows only the older boolean argument.
  const fromDer = asn1.fromDer as unknown as FromDer
  const options = { strict: true, parseAllBytes: true, decodeBitStrings: false, maxDepth: DEPTH_MAX }
  return fromDer(bytes.toString('latin1'), options)
}

/** The values inside a SEQUENCE or an EXPLICIT tag. Throws an Error when it holds none. */
export function children(value: Der | undefined): Der[] {
  if (value === undefined || !Array.isArray(value.value)) throw new Error('a constructed value was expected')
  return value.value
}

export function oidOf(value: Der | undefined): string {
  if (value?.type !== Type.OID || typeof value.value !== 'string') throw new Error('an object identifier was expected')
  return asn1.derToOid(value.value)
}

/** The bytes of a BIT STRING of whole octets. */
export function bitsOf(value: Der | undefined): Buffer {
  const bytes = value?.type === Type.BITSTRING && typeof value.value === 'string' ? value.value : ''
  if (bytes[0] !== '\0') throw new Error('a bit string of whole octets was expected')
  return Buffer.from(bytes.slice(1), 'latin1')
}

/** PEM (RFC 7468) with lines of 64 characters. */
export function toPem(label: string, der: Buffer): string {
  const lines = der
    .toString('base64')
    .match(/.{1,64}/g)!
    .join('\n')
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`
}
