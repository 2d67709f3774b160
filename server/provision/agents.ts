// What an enrolled agent asks and tells: what is wanted of it, how to join, what it did, the slot to be out of service.
// Leaves out who it is: http/access.ts has looked at its certificate before any of this runs.

import type { Desired, JoinReply, Report } from '../contract/agent.ts'
import type { Profile } from '../contract/document.ts'
import type { NewEvent } from '../contract/event.ts'
import type { Machine } from '../contract/machine.ts'
import { Fault } from '../core/fault.ts'
import { latestBoot } from '../store/boots.ts'
import { revokeCertificates } from '../store/certificates.ts'
import { findDocument } from '../store/documents.ts'
import { raiseReportSeq, reportSeq, updateMachine } from '../store/machines.ts'
import type { Db } from '../store/schema.ts'
import { transact } from '../timeline.ts'
import type { Deps } from './deps.ts'
import { failMachine, move, nodeReady } from './machines.ts'

/** How often an agent asks what is wanted; what is urgent reaches it by its own watch of its node. */
const POLL_SECONDS = 60

export async function desiredOf({ db }: Pick<Deps, 'db'>, machine: Machine): Promise<Desired> {
  const profile = await profileOf(db, machine)
  const { role, version } = profile.spec.kubernetes
  return { node: { name: machine.name ?? machine.id, role, version }, pollSeconds: POLL_SECONDS }
}

/** The machine's profile, as it is now. Throws a Fault(unavailable) that names it. */
export async function profileOf(db: Db, machine: Machine): Promise<Profile> {
  const profile = machine.profile === null ? null : await findDocument(db, 'Profile', machine.profile)
  if (profile === null)
    throw new Fault('unavailable', `profile ${machine.profile ?? '(none)'} is missing on the server`)
  return profile
}

export async function joinMachine(deps: Deps, machine: Machine): Promise<JoinReply> {
  try {
    const reply = await deps.cluster.join(machine, deps.now())
    deps.count.join(reply.action)
    await noteWait(deps, machine, null)
    return reply
  } catch (error) {
    if (error instanceof Fault) await noteWait(deps, machine, `cannot join yet: ${error.message}`)
    // Counted, then said as it is: only the caller knows whether waiting helps.
    deps.count.join(error instanceof Fault && error.code === 'unavailable' ? 'wait' : 'refused')
    throw error
  }
}

/** Why an enrolled machine goes no further. No event: its agent tells of it too, as a note of its step. */
async function noteWait(
  { db, now }: Deps,
  { id, state, reason: known }: Machine,
  reason: string | null
): Promise<void> {
  if (state === 'enrolled' && known !== reason) await updateMachine(db, id, { reason }, now())
}

/** Takes a report: new steps to the timeline, in order, once; the phase to the lifecycle. */
export async function acceptReport(deps: Deps, machine: Machine, report: Report): Promise<void> {
  await transact(deps, async (db, add) => {
    const seen = await reportSeq(db, machine.id)
    const steps = report.steps.filter(({ seq }) => seq > seen).toSorted((a, b) => a.seq - b.seq)
    const last = steps.at(-1)
    if (last !== undefined && (await raiseReportSeq(db, machine.id, last.seq))) {
      for (const step of steps) await add(stepEvent(machine, step))
    }
    if (report.kubeletVersion !== null && report.kubeletVersion !== machine.version) {
      await updateMachine(db, machine.id, { version: report.kubeletVersion }, deps.now())
    }
    await endEnrolment(deps, db, machine)
    await followPhase(deps, db, machine, report, add)
  })
  if (report.phase === 'joined') await joined(deps, machine)
}

function stepEvent(machine: Machine, { seq, at, step, edge, message }: Report['steps'][number]): NewEvent {
  return {
    type: 'agent.step',
    machine: machine.id,
    level: edge === 'failed' ? 'warning' : 'info',
    message: `${step} ${edge}${message === '' ? '' : `: ${message}`}`,
    detail: { seq, step, edge, at }
  }
}

/** The agent speaks with its own certificate: nobody needs the one of its boot any more. */
async function endEnrolment({ now }: Deps, db: Db, machine: Machine): Promise<void> {
  const boot = await latestBoot(db, machine.id)
  if (boot?.state === 'confirmed') await revokeCertificates(db, { boot: boot.id, kind: 'boot' }, now())
}

async function followPhase(
  deps: Deps,
  db: Db,
  machine: Machine,
  { phase, steps }: Report,
  add: (event: NewEvent) => Promise<void>
): Promise<void> {
  if (phase === 'failed') {
    const why = steps.findLast(({ edge }) => edge === 'failed')?.message ?? 'its agent could not go on'
    await failMachine(deps, db, machine, why, add)
  } else if (machine.state === 'failed' && phase !== 'upgrading') {
    await move(deps, db, machine, 'enrol', {})
    await add({ type: 'machine.enrolled', machine: machine.id, message: `its agent goes on: ${phase}` })
  }
}

/** The watch may have seen the node Ready before the agent said so; the API server's word counts, not the agent's. */
async function joined(deps: Deps, machine: Machine): Promise<void> {
  const node = deps.cluster.nodes().find(({ name }) => name === machine.name)
  if (node?.ready === true) await nodeReady(deps, node.name, node.version)
}
