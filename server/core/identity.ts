// Who is asking? A machine is the set {SMBIOS UUID, serial, all MACs}; any of them may be blank,
// duplicated or lie. Evidence that points at two machines is a conflict, never a merge.

import type { Mac } from '../contract/net.ts'

export interface Claim {
  readonly macs: readonly Mac[]
  readonly uuid: string | null
  readonly serial: string | null
}

/** What the store knows of one machine that shares some evidence with the claim. */
export interface Known {
  readonly id: string
  readonly macs: readonly string[]
  readonly uuid: string | null
  readonly serial: string | null
}

export type Identity =
  | { kind: 'new' }
  | { kind: 'known'; id: string }
  | { kind: 'conflict'; ids: readonly string[]; why: string }

/** Values vendors ship on every board: they identify nobody (facts: boards of several vendors). */
const blankUuids = new Set([
  '00000000-0000-0000-0000-000000000000',
  'ffffffff-ffff-ffff-ffff-ffffffffffff',
  '03000200-0400-0500-0006-000700080009',
  '00020003-0004-0005-0006-000700080009',
  '12345678-1234-5678-90ab-cddeefaabbcc'
])
const blankSerials = new Set([
  '',
  'none',
  'n/a',
  'unknown',
  'not specified',
  'not applicable',
  'default string',
  'to be filled by o.e.m.',
  'serial number',
  'system serial number',
  '123456789',
  '0123456789'
])

/** A UUID that can tell machines apart, in lower case; null when it is blank, default or no UUID at all. */
export function usableUuid(text: string | null): string | null {
  const uuid = text?.trim().toLowerCase() ?? ''
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(uuid)) return null
  return blankUuids.has(uuid) || /^(.)\1*$/.test(uuid.replaceAll('-', '')) ? null : uuid
}

/** A serial number that can tell machines apart; null when it is blank or a vendor's default. */
export function usableSerial(text: string | null): string | null {
  const serial = text?.trim() ?? ''
  return blankSerials.has(serial.toLowerCase()) || /^(0+|x{8,})$/i.test(serial) ? null : serial
}

/**
 * Decides among the machines that share evidence with the claim. A MAC is the strongest evidence (it is what
 * answered on the wire); a usable UUID the next; a serial alone only when nothing contradicts it.
 */
export function identify(claim: Claim, candidates: readonly Known[]): Identity {
  const uuid = usableUuid(claim.uuid)
  const serial = usableSerial(claim.serial)
  const byMac = candidates.filter(known => known.macs.some(mac => claim.macs.includes(mac as Mac)))
  const byUuid = uuid === null ? [] : candidates.filter(known => usableUuid(known.uuid) === uuid)
  if (byMac.length > 1) return conflict(byMac, 'its MAC addresses belong to different machines')
  if (byUuid.length > 1) return conflict(byUuid, 'several machines have its UUID')
  const [mac] = byMac
  const [other] = byUuid
  if (mac !== undefined && other !== undefined && mac.id !== other.id) {
    return conflict([mac, other], 'its MAC address belongs to one machine and its UUID to another')
  }
  const found = mac ?? other
  if (found !== undefined) return { kind: 'known', id: found.id }
  const bySerial =
    serial === null || uuid !== null
      ? []
      : candidates.filter(known => usableSerial(known.serial) === serial && usableUuid(known.uuid) === null)
  if (bySerial.length > 1) return conflict(bySerial, 'several machines have its serial number')
  return bySerial[0] === undefined ? { kind: 'new' } : { kind: 'known', id: bySerial[0].id }
}

function conflict(machines: readonly Known[], why: string): Identity {
  return { kind: 'conflict', ids: machines.map(({ id }) => id), why }
}
