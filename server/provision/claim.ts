// What a machine says of itself in /boot/ipxe?… and /boot/grub?…: SMBIOS facts, every one of them hostile text.
// Kept as it came, as far as text can hold it: cut at 4096 bytes, broken UTF-8 and NUL shown as U+FFFD.

import type { Hardware } from '../contract/machine.ts'
import { type Mac, parseMac } from '../contract/net.ts'
import { Fault } from '../core/fault.ts'

export const CLAIM_BYTES_MAX = 4096

export interface MachineClaim {
  readonly mac: Mac
  readonly hardware: Hardware
}

/** Reads the query text (without the question mark). Unknown keys are ignored: a newer script may send more. */
export function parseClaim(query: string): MachineClaim {
  const values = new Map<string, string>()
  for (const pair of query.split('&')) {
    const equals = pair.indexOf('=')
    if (equals > 0) values.set(pair.slice(0, equals), decodeClaim(pair.slice(equals + 1)))
  }
  const text = (key: string) => values.get(key)?.trim() || null // iPXE expands what it does not know to nothing
  const mac = parseMac(text('mac') ?? '')
  if (mac === null) throw new Fault('invalid', 'mac= must be a hardware address, such as 52-54-00-12-34-56')
  return {
    mac,
    hardware: {
      uuid: text('uuid'),
      serial: text('serial'),
      manufacturer: text('manufacturer'),
      product: text('product'),
      asset: text('asset'),
      arch: archs[text('arch') ?? ''] ?? null,
      platform: platforms[text('platform') ?? ''] ?? null
    }
  }
}

/** ${buildarch}: iPXE for BIOS is a 32-bit program, whatever the machine is. */
const archs: Record<string, Hardware['arch']> = Object.assign(Object.create(null), {
  i386: 'x86_64',
  x86_64: 'x86_64',
  arm64: 'arm64'
})
/** ${platform} of iPXE; $grub_platform says efi as well. */
const platforms: Record<string, Hardware['platform']> = Object.assign(Object.create(null), {
  pcbios: 'bios',
  efi: 'uefi'
})

/** Percent-decodes bytes (iPXE's :uristring knows no character set), cuts them, and reads them as UTF-8. */
function decodeClaim(encoded: string): string {
  const source = Buffer.from(encoded.slice(0, CLAIM_BYTES_MAX * 3), 'latin1')
  const bytes = Buffer.alloc(source.length)
  let length = 0
  for (let at = 0; at < source.length && length < CLAIM_BYTES_MAX; at++) {
    const hex = source[at] === 0x25 ? source.toString('latin1', at + 1, at + 3) : ''
    const escaped = /^[0-9A-Fa-f]{2}$/.test(hex)
    bytes[length++] = escaped ? Number.parseInt(hex, 16) : source[at]!
    if (escaped) at += 2
  }
  return bytes.toString('utf8', 0, length).replaceAll('\0', '\uFFFD') // PostgreSQL cannot hold NUL in text
}
