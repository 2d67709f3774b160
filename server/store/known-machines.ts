// Which machines a person, or a rule of theirs, has let in: for DHCP, which keeps addresses for them in a flood.

import type { Db } from './schema.ts'

/** The MAC addresses of each. What is discovered, rejected or retired is a stranger like any other. */
export async function listKnownMacs(db: Db): Promise<string[][]> {
  const rows = await db
    .selectFrom('macs')
    .innerJoin('machines', 'machines.id', 'macs.machine')
    .select(['macs.machine', 'macs.mac'])
    .where('machines.state', 'not in', ['discovered', 'ignored', 'retired'])
    .execute()
  const machines = new Map<string, string[]>()
  for (const { machine, mac } of rows) {
    const macs = machines.get(machine)
    if (macs === undefined) machines.set(machine, [mac])
    else macs.push(mac)
  }
  return [...machines.values()]
}
