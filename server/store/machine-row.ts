// A machine as a row, and back: what is stored of hardware's hostile texts, and by what it is looked up.

import type { Selectable, UpdateObject } from 'kysely'
import type { Hardware, Machine } from '../contract/machine.ts'
import { usableSerial, usableUuid } from '../core/identity.ts'
import { nextOf } from '../core/lifecycle.ts'
import type { MachineRow, Schema } from './schema.ts'
import { cut, cutText } from './text.ts'

/** PostgreSQL refuses index entries over 2.7 KB; the core compares the whole text afterwards. */
const SERIAL_KEY_BYTES = 200

/** What may change of a machine beside its state. */
export type MachineChanges = Partial<
  Pick<
    Machine,
    | 'name'
    | 'reason'
    | 'profile'
    | 'rule'
    | 'armed'
    | 'wipe'
    | 'address'
    | 'version'
    | 'hardware'
    | 'switchPort'
    | 'position'
  >
>

export type MachineUpdate = UpdateObject<Schema, 'machines'>

export function changesRow({ armed, wipe, hardware, switchPort, ...plain }: MachineChanges): MachineUpdate {
  return {
    ...plain,
    ...(armed === undefined ? {} : { armed: Number(armed) }),
    ...(wipe === undefined ? {} : { wipe: Number(wipe) }),
    ...(hardware === undefined ? {} : hardwareRow(hardware)),
    ...(switchPort === undefined ? {} : switchPortRow(switchPort))
  }
}

export function switchPortRow(plug: Machine['switchPort']) {
  return {
    switch_name: plug?.switch ?? null,
    switch_port: plug?.port ?? null,
    switch_relay: plug?.relay ?? null,
    switch_mac: plug?.mac ?? null,
    switch_at: plug?.at ?? null
  }
}

function switchPortFrom(row: Selectable<MachineRow>): Machine['switchPort'] {
  const { switch_name: name, switch_port: port, switch_relay: relay, switch_mac: mac, switch_at: at } = row
  if (name === null || port === null || relay === null || mac === null || at === null) return null
  return { switch: name, port, relay, mac, at }
}

export function hardwareRow({ arch, platform, ...texts }: Hardware) {
  const uuid = cutText(texts.uuid)
  const serial = cutText(texts.serial)
  return {
    uuid,
    uuid_key: usableUuid(uuid),
    serial,
    serial_key: serialKey(serial),
    manufacturer: cutText(texts.manufacturer),
    product: cutText(texts.product),
    asset: cutText(texts.asset),
    arch,
    platform
  }
}

export function serialKey(text: string | null): string | null {
  const serial = usableSerial(text)
  return serial === null ? null : cut(serial, SERIAL_KEY_BYTES)
}

export function machineFrom(row: Selectable<MachineRow>, macs: string[]): Machine {
  const { id, name, state, since, reason, uuid, serial, manufacturer, product, asset } = row
  const arch = row.arch as Hardware['arch']
  const platform = row.platform as Hardware['platform']
  const hardware = { uuid, serial, manufacturer, product, asset, arch, platform }
  const { profile, rule, address, version, updated_at: updatedAt } = row
  const install = { profile, rule, armed: row.armed === 1, wipe: row.wipe === 1 }
  return {
    id,
    name,
    macs,
    hardware,
    state,
    since,
    reason,
    next: nextOf[state],
    ...install,
    address,
    switchPort: switchPortFrom(row),
    position: row.position,
    version,
    updatedAt
  }
}
