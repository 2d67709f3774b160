// What an operator (or a rule) decides about a machine, and what follows from its node: each a row of core/lifecycle,
// written by compare-and-set together with its line on the timeline.

import type { ApproveRequest } from '../contract/api.ts'
import type { NewEvent } from '../contract/event.ts'
import type { Machine } from '../contract/machine.ts'
import { Fault } from '../core/fault.ts'
import { type MachineEvent, advance, may } from '../core/lifecycle.ts'
import { latestBoot, moveBoot } from '../store/boots.ts'
import { revokeCertificates } from '../store/certificates.ts'
import { findDocument } from '../store/documents.ts'
import type { MachineChanges } from '../store/machine-row.ts'
import { findMachineByRef, moveMachine } from '../store/machines.ts'
import { returnSlot } from '../store/slots.ts'
import type { Db } from '../store/schema.ts'
import { recordEvent, type Recorder, transact } from '../timeline.ts'
import type { Deps } from './deps.ts'

/** By id, name or MAC. Throws a Fault(not_found). */
export async function machineByRef(db: Db, ref: string): Promise<Machine> {
  const machine = await findMachineByRef(db, ref)
  if (machine === null) throw new Fault('not_found', `no machine ${ref}; slipway get machines lists them`)
  return machine
}

/** Takes the machine in, as what its rule or the operator says, and arms its first installation. */
export async function approveMachine(recorder: Recorder, ref: string, request: ApproveRequest): Promise<Machine> {
  return transact(recorder, async (db, add) => {
    const machine = await machineByRef(db, ref)
    const profile = request.profile ?? machine.profile
    if (profile === null) {
      throw new Fault('conflict', `no rule gives ${machine.id} a profile; name one: slipway approve ${ref} --profile …`)
    }
    if ((await findDocument(db, 'Profile', profile)) === null) {
      throw new Fault('invalid', `no profile ${profile}; slipway get profiles lists them`)
    }
    const name = request.name ?? machine.name ?? machine.id
    const approved = await move(recorder, db, machine, 'approve', { profile, name, armed: true, wipe: false })
    const message = `approved as ${name} with profile ${profile}; one installation is armed`
    await add({ type: 'machine.approved', machine: machine.id, message, detail: { name, profile, by: 'operator' } })
    return approved
  })
}

export async function rejectMachine(recorder: Recorder, ref: string, reason?: string): Promise<Machine> {
  return decide(recorder, ref, 'reject', { armed: false, wipe: false, reason: reason ?? null }, 'machine.rejected', {
    message: `rejected${because(reason)}; it boots from its local disk`,
    detail: { by: 'operator' }
  })
}

/** Arms one (re)installation at the next network boot; an installation under way is given up. */
export async function armMachine(recorder: Recorder, ref: string, wipe: boolean): Promise<Machine> {
  return transact(recorder, async (db, add) => {
    const machine = await machineByRef(db, ref)
    if (machine.profile === null) throw new Fault('conflict', `${ref} has no profile; approve it with one first`)
    const armed = await move(recorder, db, machine, 'arm', { armed: true, wipe, version: null })
    const boot = await latestBoot(db, machine.id)
    if (boot !== null) await moveBoot(db, boot.id, ['offered', 'delivered'], 'superseded', recorder.now())
    const erasing = wipe ? ', which may erase disks that hold data' : ''
    const message = `one installation is armed${erasing}; boot it from the network`
    await dropSlot(db, machine, add)
    await add({ type: 'machine.armed', machine: machine.id, message, detail: { wipe, by: 'operator' } })
    return armed
  })
}

/** Ends the machine's trust at once: its certificates are refused from the next request on, its Node goes away. */
export async function retireMachine(deps: Deps, ref: string, reason?: string): Promise<Machine> {
  const retired = await transact(deps, async (db, add) => {
    const machine = await machineByRef(db, ref)
    const changes = { armed: false, wipe: false, reason: reason ?? null }
    const moved = await move(deps, db, machine, 'retire', changes)
    await revokeCertificates(db, { machine: machine.id }, deps.now())
    const boot = await latestBoot(db, machine.id)
    if (boot !== null) await moveBoot(db, boot.id, ['offered', 'delivered'], 'superseded', deps.now())
    await dropSlot(db, machine, add)
    const message = `retired${because(reason)}; its certificates are refused from now on`
    await add({ type: 'machine.retired', machine: machine.id, message, detail: { by: 'operator' } })
    return moved
  })
  await deleteNodeOf(deps, retired)
  return retired
}

/** Who held the slot will not give it back: its agent's memory goes with its disk, or its trust has ended. */
async function dropSlot(db: Db, { id }: Machine, add: (event: NewEvent) => Promise<void>): Promise<void> {
  const slot = await returnSlot(db, id)
  if (slot === null) return
  const message = `its slot for ${slot.target} is free again`
  await add({ type: 'slot.returned', machine: id, message, detail: { outcome: 'dropped' } })
}

/** The machine is retired whatever the cluster says; a node that stays is somebody's to know. */
async function deleteNodeOf(deps: Deps, { id, name }: Machine): Promise<void> {
  if (name === null || !deps.cluster.nodes().some(node => node.name === name)) return
  try {
    await deps.cluster.deleteNode(name)
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    const message = `its node ${name} is still there: ${error.message}; kubectl delete node ${name}`
    await recordEvent(deps, { type: 'machine.retired', machine: id, level: 'warning', message })
  }
}

/** The machine cannot go on by itself. Nothing happens when it is not where a failure means something. */
export async function failMachine(
  recorder: Recorder,
  db: Db,
  machine: Machine,
  reason: string,
  add: (event: NewEvent) => Promise<void>
): Promise<void> {
  if (!may(machine.state, 'fail') || (machine.state === 'failed' && machine.reason === reason)) return
  await move(recorder, db, machine, 'fail', { reason })
  const event = { type: 'machine.failed', machine: machine.id, level: 'warning', message: reason } as const
  await add(event)
}

/** The node watch saw the machine's node Ready: the last step of its way. Idempotent. */
export async function nodeReady(recorder: Recorder, nodeName: string, version: string | null): Promise<void> {
  await transact(recorder, async (db, add) => {
    const machine = await findMachineByRef(db, nodeName)
    if (machine === null || machine.name !== nodeName || machine.state !== 'enrolled') return
    await move(recorder, db, machine, 'join', version === null ? {} : { version })
    const message = `its node ${nodeName} is Ready${version === null ? '' : ` with ${version}`}`
    await add({ type: 'machine.ready', machine: machine.id, message, detail: { node: nodeName, version } })
  })
}

/** One step through the table. Throws a Fault(conflict) when the table lacks it, or the machine moved meanwhile. */
export async function move(
  { now }: Pick<Recorder, 'now'>,
  db: Db,
  machine: Machine,
  event: MachineEvent,
  changes: MachineChanges
): Promise<Machine> {
  const moved = await moveMachine(db, machine.id, machine.state, advance(machine.state, event), changes, now())
  if (moved === null) throw new Fault('conflict', `${machine.id} changed meanwhile; look again and retry`)
  return moved
}

async function decide(
  recorder: Recorder,
  ref: string,
  event: MachineEvent,
  changes: MachineChanges,
  type: string,
  told: Pick<NewEvent, 'message' | 'detail'>
): Promise<Machine> {
  return transact(recorder, async (db, add) => {
    const machine = await machineByRef(db, ref)
    const moved = await move(recorder, db, machine, event, changes)
    await add({ type, machine: machine.id, ...told })
    return moved
  })
}

function because(reason: string | undefined): string {
  return reason === undefined || reason === '' ? '' : `: ${reason}`
}
