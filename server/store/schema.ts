// The tables as rows, and the handle every query function takes. Times are ISO 8601 text in UTC, booleans 0 or 1,
// JSON is text: the encodings that both dialects store alike.

import type { Generated, Kysely } from 'kysely'
import type { MachineState } from '../contract/machine.ts'
import type { BootState } from '../core/boots.ts'

export interface MachineRow {
  id: string // m-xxxxxxxx
  name: string | null // unique
  state: MachineState
  since: string
  reason: string | null
  uuid: string | null // as firmware said it
  uuid_key: string | null // usableUuid(uuid); indexed
  serial: string | null
  serial_key: string | null // usableSerial(serial); indexed
  manufacturer: string | null
  product: string | null
  asset: string | null
  arch: string | null
  platform: string | null
  profile: string | null
  rule: string | null
  armed: number
  wipe: number
  address: string | null
  switch_name: string | null // all five or none
  switch_port: string | null
  switch_relay: string | null
  switch_mac: string | null
  switch_at: string | null
  position: string | null
  version: string | null
  report_seq: number // last journalled step that was put on the timeline
  updated_at: string
}

export interface MacRow {
  mac: string // primary key
  machine: string
}

export interface LeaseRow {
  address: string // primary key
  mac: string // unique while bound: one address a machine, whatever client id its stages send
  hostname: string | null
  granted_at: string
  expires_at: string
  state: string // bound | declined
  identifier: string | null // what its document knows it by, when that is not the MAC
}

export interface SwitchPortRow {
  mac: string // primary key
  switch_name: string
  switch_port: string
  switch_relay: string
  switch_at: string
}

export interface BootRow {
  id: string // b-xxxxxxxx
  nonce_hash: string // SHA-256 of the nonce, hex; unique
  machine: string
  state: BootState
  address: string
  kind: string // ignition | kickstart
  profile: string
  created_at: string
  delivered_at: string | null
  ended_at: string | null
}

export interface EventRow {
  id: Generated<number>
  at: string
  type: string
  machine: string | null
  boot: string | null
  mac: string | null
  level: string
  message: string
  detail: string
}

export interface CertificateRow {
  serial: string // hex; primary key
  kind: string // server | boot | machine
  machine: string | null
  boot: string | null
  issued_at: string
  expires_at: string
  revoked_at: string | null
}

export interface DocumentRow {
  kind: string // Profile | Rule | Cluster | Machine
  name: string
  spec: string
  updated_at: string
}

export interface JoinTokenRow {
  id: string // the public half of the bootstrap token
  machine: string
  node: string
  role: string
  created_at: string
  expires_at: string
  csr: string | null // the one CSR that was approved
  ended_at: string | null // when its Secret was deleted
}

/** One row while a machine is out of service; the primary key on `place` is the limit of one at a time. */
export interface SlotRow {
  place: number
  machine: string // unique
  target: string
  granted_at: string
}

export interface TokenRow {
  name: string
  role: string // viewer | operator | admin
  hash: string // SHA-256 of the token, hex
  created_at: string
  revoked_at: string | null
}

export interface CounterRow {
  name: string // e.g. rule/<name>: the last {number} given
  value: number
}

export interface Schema {
  machines: MachineRow
  macs: MacRow
  leases: LeaseRow
  switch_ports: SwitchPortRow
  boots: BootRow
  events: EventRow
  certificates: CertificateRow
  documents: DocumentRow
  join_tokens: JoinTokenRow
  slots: SlotRow
  tokens: TokenRow
  counters: CounterRow
}

/** A connection or a transaction: query functions do not care which. */
export type Db = Kysely<Schema>
