// The right of one machine to be out of service now, asked for and given back by its agent. Whether it may is
// upgrade/slot.ts; that there is one at a time is the store's primary key.

import type { SlotReply } from '../contract/agent.ts'
import type { Machine } from '../contract/machine.ts'
import { Fault } from '../core/fault.ts'
import { listSlots, returnSlot, takeSlot } from '../store/slots.ts'
import { transact } from '../timeline.ts'
import type { Deps } from './deps.ts'
import { move } from './machines.ts'

/** Throws a Fault(conflict) with the reason when not now; asking again for the slot one has is granted again. */
export async function askSlot(deps: Deps, machine: Machine, target: string): Promise<SlotReply> {
  return transact(deps, async (db, add) => {
    const held = (await listSlots(db)).some(slot => slot.machine === machine.id)
    const slot = await takeSlot(db, machine.id, target, deps.now())
    if (slot === null) throw new Fault('conflict', 'another machine is out of service; the slot is not free')
    const reason = `one machine at a time: this one, for ${target}`
    if (!held) {
      await move(deps, db, machine, 'maintain', { reason: `upgrading to ${target}` })
      await add({ type: 'slot.granted', machine: machine.id, message: reason, detail: { target } })
    }
    return { granted: true, reason, command: 'node' }
  })
}

/** Idempotent: an agent that was killed gives it back again. */
export async function giveBackSlot(
  deps: Deps,
  machine: Machine,
  outcome: 'upgraded' | 'rolled-back' | 'blocked'
): Promise<void> {
  await transact(deps, async (db, add) => {
    if ((await returnSlot(db, machine.id)) === null) return
    if (machine.state === 'maintenance' || machine.state === 'failed') await move(deps, db, machine, 'resume', {})
    await add({
      type: 'slot.returned',
      machine: machine.id,
      level: outcome === 'upgraded' ? 'info' : 'warning',
      message: `gave its slot back: ${outcome}`,
      detail: { outcome }
    })
  })
}
