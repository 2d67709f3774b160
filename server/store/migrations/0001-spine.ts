// The tables of the first release. Released: never edited, what comes later is the next number.

import type { Migration } from './step.ts'

export const spine: Migration = {
  number: 1,
  name: '0001-spine',
  statements: dialect => {
    // Bytes in order, as SQLite compares them, whatever locale the PostgreSQL cluster was made with.
    const text = dialect === 'postgres' ? 'text collate "C"' : 'text'
    // Never given twice, also after pruning: a watcher resumes from the last one it saw.
    const identity =
      dialect === 'postgres' ? 'bigint generated always as identity primary key' : 'integer primary key autoincrement'
    return [
      `create table machines (
        id ${text} primary key, name ${text} unique, state ${text} not null, since ${text} not null, reason ${text},
        uuid ${text}, uuid_key ${text}, serial ${text}, serial_key ${text},
        manufacturer ${text}, product ${text}, asset ${text}, arch ${text}, platform ${text},
        profile ${text}, rule ${text}, armed integer not null, wipe integer not null,
        address ${text}, version ${text}, report_seq bigint not null, updated_at ${text} not null)`,
      'create index machines_uuid_key on machines (uuid_key)',
      'create index machines_serial_key on machines (serial_key)',
      'create index machines_address on machines (address)',
      'create index machines_state on machines (state)',

      `create table macs (
        mac ${text} primary key, machine ${text} not null references machines (id) on delete cascade)`,
      'create index macs_machine on macs (machine)',

      `create table leases (
        address ${text} primary key, mac ${text} not null, hostname ${text},
        granted_at ${text} not null, expires_at ${text} not null, state ${text} not null)`,
      // One address a machine. A declined address keeps the name of who declined it, who then gets another one.
      `create unique index leases_mac on leases (mac) where state = 'bound'`,
      'create index leases_expires_at on leases (expires_at)',

      `create table boots (
        id ${text} primary key, nonce_hash ${text} not null unique,
        machine ${text} not null references machines (id) on delete cascade,
        state ${text} not null, address ${text} not null, kind ${text} not null, profile ${text} not null,
        created_at ${text} not null, delivered_at ${text}, ended_at ${text})`,
      'create index boots_machine on boots (machine, created_at)',
      // At most one open boot a machine: the newer supersedes.
      `create unique index boots_open on boots (machine) where state in ('offered', 'delivered')`,

      `create table events (
        id ${identity}, at ${text} not null, type ${text} not null, machine ${text}, boot ${text}, mac ${text},
        level ${text} not null, message ${text} not null, detail ${text} not null)`,
      // Strangers have indexes of their own: many events without a machine must not slow down one machine's timeline.
      'create index events_machine on events (machine, id) where machine is not null',
      'create index events_stranger on events (id) where machine is null',
      'create index events_mac on events (mac, id) where machine is null',
      'create index events_boot on events (boot, id)',

      `create table certificates (
        serial ${text} primary key, kind ${text} not null, machine ${text}, boot ${text},
        issued_at ${text} not null, expires_at ${text} not null, revoked_at ${text})`,
      'create index certificates_machine on certificates (machine)',
      'create index certificates_boot on certificates (boot)',

      `create table documents (
        kind ${text} not null, name ${text} not null, spec ${text} not null, updated_at ${text} not null,
        primary key (kind, name))`,

      `create table join_tokens (
        id ${text} primary key, machine ${text} not null, node ${text} not null, role ${text} not null,
        created_at ${text} not null, expires_at ${text} not null, csr ${text}, ended_at ${text})`,
      'create index join_tokens_open on join_tokens (expires_at) where ended_at is null',

      // One place: one machine out of service at a time.
      `create table slots (
        place integer primary key check (place = 1), machine ${text} not null unique,
        target ${text} not null, granted_at ${text} not null)`,

      `create table tokens (
        name ${text} primary key, role ${text} not null, hash ${text} not null unique,
        created_at ${text} not null, revoked_at ${text})`,

      `create table counters (name ${text} primary key, value bigint not null)`
    ]
  }
}
