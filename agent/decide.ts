// What to do next, from what is wanted and what was seen: one table, read from the top, the first row that matches
// wins. Pure. Nothing here waits or fails; a step that is not possible yet says so itself when it is tried.

import type { Desired } from '../server/contract/agent.ts'
import type { IdentityState } from './identity.ts'
import { isSwitched, nextStep, type Progress, type StepData, type StepName } from './progress.ts'

export interface Observed {
  readonly now: Date
  readonly identity: IdentityState
  /** leftovers: of a join that did not work. unknown: the API server cannot be asked whether we are in. */
  readonly kubelet: 'none' | 'leftovers' | 'unknown' | 'joined'
  /** Versions: the extension that the link points to, the kubelet in /usr, the process that runs. */
  readonly linked: string | null
  readonly installed: string | null
  readonly running: string | null
  /** Versions whose extension is on the machine, verified. */
  readonly staged: readonly string[]
  /** The version the server mirrored onto our Node; null without one, undefined when the Node cannot be read now. */
  readonly asked: string | null | undefined
  /** Whether labels or annotations of our Node are not what they should be. */
  readonly unlabelled: boolean
  readonly progress: Progress
}

export interface Step {
  readonly step: StepName
  /** The version it is about. */
  readonly version: string
  /** Only to be written into the journal: nothing is to be done. */
  readonly note?: { readonly message: string; readonly data: StepData }
}
/** How long a new kubelet may take to run, to be Ready and to be seen by the API server. */
export const proofMs = 5 * 60_000

type Row = readonly [name: string, when: (seen: Seen) => boolean, then: (seen: Seen) => Step]
type Seen = Observed & { readonly desired: Desired }

/** A slot that came back unused is not asked for again at once: others go first. */
export const blockedPauseMs = 5 * 60_000
/** How often a step that changes the machine may fail before an upgrade is rolled back. */
export const failuresMax = 3
/** How long pods may resist eviction before the slot is given back. */
export const evictionMs = 30 * 60_000

const rows: readonly Row[] = [
  ['the certificate ends soon', s => s.identity === 'expiring', s => plain('renew', s)],

  ['the label changed before anything was', s => changedItsMind(s), s => turned(s, 'blocked', 'the label changed')],
  [
    'pods resist for too long',
    s => evictsForever(s),
    s => turned(s, 'blocked', 'its pods could not be evicted in time')
  ],
  [
    'the new version does not prove itself',
    s => verifiesForever(s),
    s => turned(s, 'rolled-back', `${s.progress.upgrade!.target} did not prove itself in time`)
  ],
  [
    'a step fails again and again',
    s => failsForever(s),
    s => turned(s, 'rolled-back', `${s.progress.open!.step} failed ${failuresMax} times`)
  ],
  ['the label was taken away', s => s.progress.refused !== null && s.asked === null, s => forgiven(s)],
  ['tell the Node', s => s.unlabelled && s.kubelet === 'joined', s => plain('label', s)],

  ['joined, but the extension is not merged', s => mayMend(s) && isUnmerged(s), s => plain('merge', s, s.linked!)],
  ['joined, but the kubelet does not run', s => mayMend(s) && s.running === null, s => plain('start', s)],
  ['an upgrade is under way', s => s.progress.upgrade !== null, s => upgradeStep(s)],

  ['the join went well unseen', s => s.kubelet === 'joined' && s.progress.joined !== 'yes', s => plain('join', s)],
  ['the cluster was made here', s => isJoined(s) && isToHandOver(s), s => plain('hand-over', s)],
  ['the label asks for another version', s => isJoined(s) && mayUpgrade(s), s => plain('upgrade', s, s.asked!)],
  ['joined, or nobody knows', s => isJoined(s) || s.kubelet === 'unknown', () => none],

  ['a join did not work', s => s.kubelet === 'leftovers', s => plain('reset', s)],
  ['no kubelet yet', s => s.installed !== s.desired.node.version, s => plain(toInstall(s), s)],
  ['not in the cluster', () => true, s => plain('join', s)]
]

const none: Step = { step: 'finish', version: '' }

/** The next step, or null when all is as it should be, or nothing can be known. */
export function decide(desired: Desired | null, observed: Observed): Step | null {
  if (observed.identity === 'none') return { step: 'enrol', version: '' }
  if (desired === null) return observed.identity === 'expiring' ? { step: 'renew', version: '' } : null
  const seen = { ...observed, desired }
  const step = rows.find(([, when]) => when(seen))![2](seen)
  return step === none ? null : step
}

function plain(step: StepName, { desired }: Seen, version = desired.node.version): Step {
  return { step, version }
}

function turned({ progress }: Seen, turn: 'blocked' | 'rolled-back', reason: string): Step {
  return { step: 'upgrade', version: progress.upgrade!.target, note: { message: reason, data: { turn } } }
}

function forgiven({ progress }: Seen): Step {
  const { target } = progress.refused!
  return {
    step: 'upgrade',
    version: target,
    note: { message: `${target} may be tried again`, data: { forgive: true } }
  }
}

function upgradeStep({ progress }: Seen): Step {
  const { target, previous, turn } = progress.upgrade!
  const step = nextStep(progress.upgrade!) ?? 'finish'
  return { step, version: turn === null ? target : previous }
}

function isJoined({ kubelet, progress }: Seen): boolean {
  return kubelet === 'joined' || (kubelet === 'unknown' && progress.joined === 'yes')
}

/** After a boot without systemd-sysext, or an unmerge by hand: the next start of the kubelet would be the wrong one. */
function isUnmerged({ linked, installed }: Seen): boolean {
  return linked !== null && linked !== installed
}

/** In the steps that change or prove the kubelet, they see to it themselves. */
function mayMend(seen: Seen): boolean {
  const { upgrade } = seen.progress
  const step = upgrade === null ? null : nextStep(upgrade)
  return isJoined(seen) && (step === null || !/^(switch|configure|restart|verify)/.test(step))
}

function isToHandOver({ progress }: Seen): boolean {
  return progress.initialises && !progress.handedOver
}

function toInstall({ staged, desired }: Seen): StepName {
  return staged.includes(desired.node.version) ? 'merge' : 'fetch'
}

function mayUpgrade({ asked, running, progress, now }: Seen): boolean {
  if (asked === null || asked === undefined || asked === running) return false
  if (progress.refused?.target === asked) return false
  return progress.blockedAt === null || now.getTime() - Date.parse(progress.blockedAt) >= blockedPauseMs
}

function changedItsMind({ asked, progress }: Seen): boolean {
  const { upgrade, open } = progress
  if (upgrade === null || upgrade.turn !== null || asked === undefined) return false
  return asked !== upgrade.target && !isSwitched(upgrade, open)
}

function evictsForever({ progress: { upgrade, open }, now }: Seen): boolean {
  if (upgrade?.turn !== null || open?.step !== 'evict') return false
  return now.getTime() - Date.parse(open.since) > evictionMs
}

function verifiesForever({ progress: { upgrade, open }, now }: Seen): boolean {
  if (upgrade?.turn !== null || open?.step !== 'verify') return false
  return now.getTime() - Date.parse(open.since) > proofMs
}

function failsForever({ progress: { upgrade, open } }: Seen): boolean {
  if (upgrade?.turn !== null || open === null || open.failures < failuresMax) return false
  return ['switch', 'configure', 'restart'].includes(open.step)
}
