// What the journal says about where we are: the records folded into one value. Pure. A step that has begun and not
// ended is taken up again, so every step must bear being repeated.

/** The way of an upgrade, in order; a turn replaces what is left of it by another way. */
export const ways = {
  forward: ['stage', 'slot', 'cordon', 'evict', 'switch', 'configure', 'restart', 'verify', 'uncordon', 'release'],
  /** Nothing was changed yet: give everything back and go last. */
  blocked: ['uncordon', 'release'],
  /** The new version does not do: put the old one back, look at it, then give everything back. */
  'rolled-back': ['switch-back', 'restart-back', 'verify-back', 'uncordon', 'release']
} as const

export type Turn = Exclude<keyof typeof ways, 'forward'>
/** How an upgrade came out: what the slot is given back with. */
export type Ending = 'upgraded' | Turn
export type UpgradeStep = (typeof ways)[keyof typeof ways][number]
export type StepName =
  | UpgradeStep
  | 'enrol'
  | 'renew'
  | 'fetch'
  | 'merge'
  | 'reset'
  | 'join'
  | 'hand-over'
  | 'start'
  | 'label'
  | 'upgrade'
  | 'finish'

export interface JournalRecord {
  /** Grows by one for ever. */
  readonly seq: number
  readonly at: string
  readonly step: StepName
  readonly edge: 'begin' | 'end' | 'failed' | 'note'
  readonly message: string
  readonly data?: StepData
}

/** What a step leaves for those after it. */
export interface StepData {
  readonly target?: string
  readonly previous?: string
  readonly command?: 'apply' | 'node'
  readonly action?: 'join' | 'init'
  readonly turn?: Turn
  /** The label was taken away: a target that was rolled back may be tried again. */
  readonly forgive?: true
  readonly outcome?: Ending
}

export interface Upgrade {
  readonly target: string
  readonly previous: string
  readonly command: 'apply' | 'node' | null
  readonly turn: Turn | null
  /** Why it turned. */
  readonly reason: string
  readonly done: readonly UpgradeStep[]
  /** When the kubelet was last restarted for it. */
  readonly restartedAt: string | null
}

export interface OpenStep {
  readonly step: StepName
  readonly since: string
  readonly failures: number
}

export interface Progress {
  /** started: kubeadm was let loose and did not say that it was done. */
  readonly joined: 'no' | 'started' | 'yes'
  /** This node makes the cluster (kubeadm init), and the server must get its admin.conf. */
  readonly initialises: boolean
  readonly handedOver: boolean
  readonly open: OpenStep | null
  readonly upgrade: Upgrade | null
  /** The last target that had to be rolled back, and why: not tried again until the label asks for another. */
  readonly refused: { readonly target: string; readonly reason: string } | null
  /** A slot came back unused: the next try waits a while from here. */
  readonly blockedAt: string | null
}

export const noProgress: Progress = {
  joined: 'no',
  initialises: false,
  handedOver: false,
  open: null,
  upgrade: null,
  refused: null,
  blockedAt: null
}

export function advance(progress: Progress, record: JournalRecord): Progress {
  switch (record.edge) {
    case 'begin':
      return begin(progress, record)
    case 'end':
      return end({ ...progress, open: progress.open?.step === record.step ? null : progress.open }, record)
    case 'failed':
      return failed(progress, record)
    case 'note':
      return note(progress, record)
  }
}

function begin(progress: Progress, { step, at, data = {} }: JournalRecord): Progress {
  if (step === 'upgrade') {
    const { target = '', previous = '' } = data
    const upgrade: Upgrade = { target, previous, command: null, turn: null, reason: '', done: [], restartedAt: null }
    return { ...progress, upgrade, refused: null, blockedAt: null }
  }
  // These come in between without ending what is under way.
  if (step === 'label' || step === 'renew') return progress
  const joined = step === 'join' && progress.joined === 'no' ? 'started' : progress.joined
  return { ...progress, joined, open: { step, since: at, failures: 0 } }
}

function end(progress: Progress, { step, at, data = {} }: JournalRecord): Progress {
  switch (step) {
    case 'reset':
      return { ...progress, joined: 'no', initialises: false }
    case 'join':
      return { ...progress, joined: 'yes' }
    case 'hand-over':
      return { ...progress, handedOver: true }
    case 'upgrade':
      return finished(progress, at, data.outcome ?? 'upgraded')
    default:
      return stepped(progress, step, at, data)
  }
}

function stepped(progress: Progress, step: StepName, at: string, { command }: StepData): Progress {
  const { upgrade } = progress
  if (upgrade === null || !isUpgradeStep(step)) return progress
  return {
    ...progress,
    upgrade: {
      ...upgrade,
      done: [...upgrade.done, step],
      command: command ?? upgrade.command,
      restartedAt: step.startsWith('restart') ? at : upgrade.restartedAt
    }
  }
}

function finished(progress: Progress, at: string, outcome: Ending): Progress {
  const { upgrade } = progress
  if (upgrade === null) return progress
  const refused = outcome === 'rolled-back' ? { target: upgrade.target, reason: upgrade.reason } : null
  return { ...progress, upgrade: null, refused, blockedAt: outcome === 'blocked' ? at : null }
}

function failed(progress: Progress, { step }: JournalRecord): Progress {
  const { open } = progress
  if (open === null || open.step !== step) return progress
  return { ...progress, open: { ...open, failures: open.failures + 1 } }
}

/** A note may turn an upgrade to another way; what was done of the old one does not count for it. */
function note(progress: Progress, { data, message }: JournalRecord): Progress {
  if (data?.action !== undefined) return { ...progress, initialises: data.action === 'init' }
  if (data?.forgive === true) return { ...progress, refused: null }
  if (data?.turn === undefined || progress.upgrade === null) return progress
  return {
    ...progress,
    open: null,
    upgrade: { ...progress.upgrade, turn: data.turn, reason: message, done: [] }
  }
}

/** The next step of an upgrade under way; null when its way is gone to the end. */
export function nextStep({ turn, done }: Upgrade): UpgradeStep | null {
  return ways[turn ?? 'forward'].find(step => !done.includes(step)) ?? null
}

function isUpgradeStep(step: StepName): step is UpgradeStep {
  return Object.values(ways).some(way => (way as readonly StepName[]).includes(step))
}

/** Whether software on the machine has been changed: then only a roll-back leads back. */
export function isSwitched({ turn, done }: Upgrade, open: OpenStep | null): boolean {
  return turn === 'rolled-back' || done.includes('switch') || open?.step === 'switch'
}

export function phaseOf(progress: Progress): 'enrolled' | 'staging' | 'joining' | 'joined' | 'upgrading' | 'failed' {
  const { joined, upgrade, refused, open } = progress
  if (refused !== null || upgrade?.turn === 'rolled-back') return 'failed'
  if (upgrade !== null) return upgrade.done.includes('stage') ? 'upgrading' : 'staging'
  if (joined === 'yes') return 'joined'
  if (open?.step === 'join' || open?.step === 'reset') return 'joining'
  return open?.step === 'fetch' || open?.step === 'merge' ? 'staging' : 'enrolled'
}
