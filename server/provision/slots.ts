// The right of one machine to be out of service now, asked for and given back by its agent. Whether it may have it is
// upgrade/slot.ts; that there is one at a time is also the store's primary key.

import type { SlotReply } from '../contract/agent.ts'
import type { NewEvent } from '../contract/event.ts'
import type { Machine } from '../contract/machine.ts'
import { Fault } from '../core/fault.ts'
import { getMachine, updateMachine } from '../store/machines.ts'
import type { Db } from '../store/schema.ts'
import { listSlots, returnSlot, takeSlot } from '../store/slots.ts'
import { transact } from '../timeline.ts'
import { decideSlot, type SlotAnswer } from '../upgrade/slot.ts'
import { profileOf } from './agents.ts'
import type { Deps } from './deps.ts'
import { move } from './machines.ts'

type Add = (event: NewEvent) => Promise<void>

/** Throws a Fault(conflict) with the reason when not now; asking again for the slot one has is granted again. */
export async function askSlot(deps: Deps, machine: Machine, target: string): Promise<SlotReply> {
  const { role } = (await profileOf(deps.db, machine)).spec.kubernetes
  const facts = deps.cluster.upgradeFacts(sayName(machine))
  const answer = await transact(deps, async (db, add): Promise<SlotAnswer> => {
    const [held] = await listSlots(db)
    const holder =
      held === undefined ? null : { machine: sayName(await getMachine(db, held.machine)), target: held.target }
    const decided = decideSlot({ machine: sayName(machine), target, role, holder, ...facts })
    if (!decided.granted) return wait(deps, db, machine, decided, target, add)
    if ((await takeSlot(db, machine.id, target, deps.now())) === null) {
      const lost = { granted: false, reason: 'another machine was given the slot at this moment' } as const
      return wait(deps, db, machine, lost, target, add)
    }
    if (holder === null) {
      await move(deps, db, machine, 'maintain', { reason: `upgrading to ${target}` })
      await add({ type: 'slot.granted', machine: machine.id, message: decided.reason, detail: { target } })
    }
    return decided
  })
  if (!answer.granted) throw new Fault('conflict', answer.reason)
  return answer
}

/** Names are unique, and what the reason says is for people. */
function sayName({ name, id }: Machine): string {
  return name ?? id
}

/** It will ask again, and again: only a new reason is news. */
async function wait(
  deps: Deps,
  db: Db,
  machine: Machine,
  answer: SlotAnswer & { granted: false },
  target: string,
  add: Add
): Promise<SlotAnswer> {
  const reason = `waits for its slot: ${answer.reason}`
  if (machine.reason !== reason) {
    await updateMachine(db, machine.id, { reason }, deps.now())
    await add({ type: 'slot.waiting', machine: machine.id, message: reason, detail: { target } })
  }
  return answer
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
