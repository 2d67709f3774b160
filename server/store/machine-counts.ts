// How many machines are in which state: one query, for metrics.

import type { MachineState } from '../contract/machine.ts'
import type { Db } from './schema.ts'

export async function countMachines(db: Db): Promise<Array<[MachineState, number]>> {
  const counted = db.selectFrom('machines').select(({ fn }) => ['state', fn.countAll<number>().as('count')])
  const rows = await counted.groupBy('state').execute()
  return rows.map(({ state, count }) => [state, count])
}
