// At which switch port each hardware address was seen last (DHCP option 82). Anybody behind a relay can invent hardware
// addresses, so the table is bounded.

import type { SwitchPort } from '../contract/machine.ts'
import type { Db } from './schema.ts'

export const SWITCH_PORTS_MAX = 20_000
/** To count them costs a millisecond: done for one in so many of those that come, in the mean. */
const PRUNE_EVERY = 64
const PRUNED_AT_ONCE = 4 * PRUNE_EVERY

/** Replaces what was known of that address. */
export async function saveSwitchPort(db: Db, { mac, switch: name, port, relay, at }: SwitchPort): Promise<void> {
  const place = { switch_name: name, switch_port: port, switch_relay: relay, switch_at: at }
  await db
    .insertInto('switch_ports')
    .values({ mac, ...place })
    .onConflict(clash => clash.column('mac').doUpdateSet(place))
    .execute()
  // By the time, since a hardware address is chosen by whoever sends it.
  if (Date.parse(at) % PRUNE_EVERY === 0) await pruneSwitchPorts(db)
}

/** Null when no relay ever named its port. */
export async function findSwitchPort(db: Db, mac: string): Promise<SwitchPort | null> {
  const row = await db.selectFrom('switch_ports').selectAll().where('mac', '=', mac).executeTakeFirst()
  if (row === undefined) return null
  const { switch_name: name, switch_port: port, switch_relay: relay, switch_at: at } = row
  return { switch: name, port, relay, mac, at }
}

/** Removes the oldest beyond the bound. */
export async function pruneSwitchPorts(db: Db, max = SWITCH_PORTS_MAX): Promise<void> {
  const counted = db.selectFrom('switch_ports').select(({ fn }) => fn.countAll<number>().as('count'))
  const { count } = await counted.executeTakeFirstOrThrow()
  const beyond = Math.min(count - max, PRUNED_AT_ONCE)
  if (beyond <= 0) return
  const oldest = db.selectFrom('switch_ports').select('mac').orderBy('switch_at').limit(beyond)
  await db.deleteFrom('switch_ports').where('mac', 'in', oldest).execute()
}
