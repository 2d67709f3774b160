// The machine lifecycle as data. Read a row as: from this state, on that event, go there.
// What is not in the table is a conflict.

import type { MachineState } from '../contract/machine.ts'
import { Fault } from './fault.ts'

export type MachineEvent =
  | 'seen' // a network boot of a machine we know
  | 'approve'
  | 'reject'
  | 'arm' // the operator allows one (re)installation
  | 'install' // the installer was handed out
  | 'enrol'
  | 'join' // the node is Ready
  | 'maintain' // a slot was granted
  | 'resume' // the slot came back
  | 'fail'
  | 'retire'

type Row = Partial<Record<MachineEvent, MachineState>>

const transitions: Record<MachineState, Row> = {
  discovered: { seen: 'discovered', approve: 'approved', reject: 'ignored', retire: 'retired' },
  ignored: { seen: 'ignored', approve: 'approved', retire: 'retired' },
  approved: {
    seen: 'approved',
    arm: 'approved',
    install: 'installing',
    reject: 'ignored',
    fail: 'failed',
    retire: 'retired'
  },
  installing: {
    seen: 'installing',
    arm: 'approved',
    install: 'installing',
    enrol: 'enrolled',
    fail: 'failed',
    retire: 'retired'
  },
  enrolled: { seen: 'enrolled', arm: 'approved', enrol: 'enrolled', join: 'ready', fail: 'failed', retire: 'retired' },
  ready: {
    seen: 'ready',
    arm: 'approved',
    enrol: 'ready',
    join: 'ready',
    maintain: 'maintenance',
    fail: 'failed',
    retire: 'retired'
  },
  maintenance: {
    seen: 'maintenance',
    maintain: 'maintenance',
    resume: 'ready',
    join: 'maintenance',
    fail: 'failed',
    retire: 'retired'
  },
  failed: {
    seen: 'failed',
    arm: 'approved',
    enrol: 'enrolled',
    join: 'ready',
    maintain: 'maintenance',
    resume: 'ready',
    fail: 'failed',
    retire: 'retired'
  },
  retired: { seen: 'retired', approve: 'approved', retire: 'retired' }
}

/** The state that follows, or a conflict that names both. */
export function advance(state: MachineState, event: MachineEvent): MachineState {
  const next = transitions[state][event]
  if (next === undefined)
    throw new Fault('conflict', `cannot ${event} a machine that is ${state}; next: ${nextOf[state]}`)
  return next
}

/** Whether the table has that row: for asking without deciding. */
export function may(state: MachineState, event: MachineEvent): boolean {
  return transitions[state][event] !== undefined
}

/** What happens next, or what the operator should do: shown wherever the state is. */
export const nextOf: Record<MachineState, string> = {
  discovered: 'approve it (slipway approve), or reject it; it waits at its boot screen',
  ignored: 'nothing; it boots from its local disk (slipway approve takes it in)',
  approved: 'boot it from the network: the installation starts',
  installing: 'wait for its agent to enrol',
  enrolled: 'wait for it to join the cluster',
  ready: 'nothing; label its node slipway.dev/version=… to upgrade it',
  maintenance: 'wait for the work to end; its timeline shows the step',
  failed: 'read the reason, then slipway install to try again',
  retired: 'nothing; its certificate is refused and it boots from its local disk'
}
