// Whether a machine may be out of service now, and by which command it upgrades. One at a time; waves come later.
// Pure: that there is only one slot is also the store's primary key, so two servers cannot both say yes.

import type { Role } from '../contract/document.ts'
import { compareVersions, parseVersion, runningVersion } from './version.ts'

export interface SlotQuestion {
  readonly machine: string
  /** What the agent wants to upgrade to. */
  readonly target: string
  /** What the server accepted and wrote on the node; null: nothing. */
  readonly accepted: string | null
  readonly role: Role
  readonly apiServer: string | null
  /** Who has the slot; null when it is free. */
  readonly holder: { readonly machine: string; readonly target: string } | null
  /** Control plane machines that have yet to reach a version they were asked for: workers let them pass. */
  readonly controlPlanePending: readonly string[]
}

export type SlotAnswer =
  | { readonly granted: true; readonly reason: string; readonly command: 'apply' | 'node' }
  | { readonly granted: false; readonly reason: string }

export function decideSlot(question: SlotQuestion): SlotAnswer {
  const { machine, target, accepted, role, holder } = question
  // A machine that has the slot keeps it: its agent was killed and asks again, maybe after the API server went on.
  if (holder !== null && holder.machine !== machine) {
    return later(`${holder.machine} is out of service for ${holder.target}; one machine at a time`)
  }
  const version = parseVersion(target)
  if (version === null) return later(`${target} is not a version`)
  if (holder === null && accepted !== target) {
    return later(`${accepted === null ? 'no version' : accepted} was accepted for this node, not ${target}`)
  }
  const apiServer = question.apiServer === null ? null : runningVersion(question.apiServer)
  if (apiServer === null) return later('the API server has not said its version')
  const behind = compareVersions(apiServer, version) < 0
  if (role === 'worker') {
    if (behind) return later(`the control plane goes first: the API server is still ${question.apiServer}`)
    const [first] = question.controlPlanePending
    if (holder === null && first !== undefined) return later(`the control plane goes first: ${first} is on its way`)
    return grant(target, 'node')
  }
  return grant(target, behind ? 'apply' : 'node')
}

function grant(target: string, command: 'apply' | 'node'): SlotAnswer {
  return { granted: true, reason: `one machine at a time: this one, for ${target}`, command }
}

function later(reason: string): SlotAnswer {
  return { granted: false, reason }
}
