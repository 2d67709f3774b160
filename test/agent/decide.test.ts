import t from 'tap'
import { backoffMs, jitter, loop } from '../../agent/loop.ts'
import { blockedPauseMs, decide, evictionMs, type Observed, proofMs } from '../../agent/decide.ts'
import { noProgress, type OpenStep, type Progress, type Upgrade } from '../../agent/progress.ts'
import { tellStory } from '../../agent/kube/story.ts'
import type { Desired } from '../../server/contract/agent.ts'

const now = new Date('2026-11-21T12:00:00Z')
const ago = (ms: number) => new Date(now.getTime() - ms).toISOString()
const desired: Desired = { node: { name: 'n1', role: 'worker', version: 'v1.35.4' }, pollSeconds: 30 }

const blank: Observed = {
  now,
  identity: 'good',
  kubelet: 'none',
  linked: null,
  installed: null,
  running: null,
  staged: [],
  asked: undefined,
  unlabelled: false,
  progress: noProgress
}
const installed: Partial<Observed> = { linked: 'v1.35.4', installed: 'v1.35.4', staged: ['v1.35.4'] }
const yes: Progress = { ...noProgress, joined: 'yes' }
const inCluster: Partial<Observed> = { ...installed, kubelet: 'joined', running: 'v1.35.4', asked: null, progress: yes }
const upgrade: Upgrade = {
  target: 'v1.36.3',
  previous: 'v1.35.4',
  command: null,
  turn: null,
  reason: '',
  done: [],
  restartedAt: null
}
const open = (step: OpenStep['step'], ms = 0, failures = 0): OpenStep => ({ step, since: ago(ms), failures })
const upgrading = (change: Partial<Upgrade>, rest: Partial<Progress> = {}): Progress => ({
  ...yes,
  upgrade: { ...upgrade, ...change },
  ...rest
})

const rows: Array<[name: string, seen: Partial<Observed>, want: string | null]> = [
  ['no certificate', { identity: 'none' }, 'enrol'],
  ['a certificate that ends', { ...inCluster, identity: 'expiring' }, 'renew v1.35.4'],
  ['nothing on the machine', {}, 'fetch v1.35.4'],
  ['an image that is staged', { staged: ['v1.35.4'] }, 'merge v1.35.4'],
  ['the kubelet of another version', { ...installed, installed: 'v1.34.1' }, 'merge v1.35.4'],
  ['a kubelet that came with the system', { installed: 'v1.35.4' }, 'join v1.35.4'],
  ['leftovers of a join', { ...installed, kubelet: 'leftovers' }, 'reset v1.35.4'],
  ['leftovers before anything is fetched', { kubelet: 'leftovers' }, 'reset v1.35.4'],
  ['nobody knows whether it is in', { ...installed, kubelet: 'unknown' }, null],
  ['a join that went well unseen', { ...inCluster, progress: { ...noProgress, joined: 'started' } }, 'join v1.35.4'],
  ['in, and the cluster was made here', { ...inCluster, progress: { ...yes, initialises: true } }, 'hand-over v1.35.4'],
  ['in, and handed over', { ...inCluster, progress: { ...yes, initialises: true, handedOver: true } }, null],
  ['in, and all is well', inCluster, null],
  ['in, not labelled', { ...inCluster, unlabelled: true }, 'label v1.35.4'],
  ['in, but unmerged', { ...inCluster, installed: null }, 'merge v1.35.4'],
  ['in, but stopped', { ...inCluster, running: null }, 'start v1.35.4'],
  ['in, and the API server is away', { ...inCluster, kubelet: 'unknown', asked: undefined }, null],
  ['the label asks', { ...inCluster, asked: 'v1.36.3' }, 'upgrade v1.36.3'],
  ['the label asks for what runs', { ...inCluster, asked: 'v1.35.4' }, null],
  [
    'the label asks for what was rolled back',
    { ...inCluster, asked: 'v1.36.3', progress: { ...yes, refused: { target: 'v1.36.3', reason: '' } } },
    null
  ],
  [
    'another than what was rolled back',
    { ...inCluster, asked: 'v1.36.4', progress: { ...yes, refused: { target: 'v1.36.3', reason: '' } } },
    'upgrade v1.36.4'
  ],
  [
    'the label went away after a roll-back',
    { ...inCluster, progress: { ...yes, refused: { target: 'v1.36.3', reason: '' } } },
    'upgrade v1.36.3 (v1.36.3 may be tried again)'
  ],
  [
    'blocked a moment ago',
    { ...inCluster, asked: 'v1.36.3', progress: { ...yes, blockedAt: ago(blockedPauseMs - 1) } },
    null
  ],
  [
    'blocked a while ago',
    { ...inCluster, asked: 'v1.36.3', progress: { ...yes, blockedAt: ago(blockedPauseMs) } },
    'upgrade v1.36.3'
  ],
  ['an upgrade begins', { ...inCluster, asked: 'v1.36.3', progress: upgrading({}) }, 'stage v1.36.3'],
  [
    'an upgrade goes on',
    { ...inCluster, asked: 'v1.36.3', progress: upgrading({ done: ['stage', 'slot'] }) },
    'cordon v1.36.3'
  ],
  [
    'an upgrade goes on without the API server',
    {
      ...inCluster,
      kubelet: 'unknown',
      asked: undefined,
      progress: upgrading({ done: ['stage', 'slot', 'cordon', 'evict'] })
    },
    'switch v1.36.3'
  ],
  [
    'the label goes while it waits',
    { ...inCluster, progress: upgrading({ done: ['stage'] }) },
    'upgrade v1.36.3 (the label changed)'
  ],
  [
    'the label goes after the switch',
    { ...inCluster, progress: upgrading({ done: ['stage', 'slot', 'cordon', 'evict', 'switch'] }) },
    'configure v1.36.3'
  ],
  [
    'the label goes in the switch',
    { ...inCluster, progress: upgrading({ done: ['stage', 'slot', 'cordon', 'evict'] }, { open: open('switch') }) },
    'switch v1.36.3'
  ],
  [
    'pods resist',
    {
      ...inCluster,
      asked: 'v1.36.3',
      progress: upgrading({ done: ['stage', 'slot', 'cordon'] }, { open: open('evict', evictionMs + 1) })
    },
    'upgrade v1.36.3 (its pods could not be evicted in time)'
  ],
  [
    'the proof takes long',
    {
      ...inCluster,
      asked: 'v1.36.3',
      progress: upgrading(
        { done: ['stage', 'slot', 'cordon', 'evict', 'switch', 'configure', 'restart'] },
        { open: open('verify', proofMs + 1) }
      )
    },
    'upgrade v1.36.3 (v1.36.3 did not prove itself in time)'
  ],
  [
    'a step fails often',
    {
      ...inCluster,
      asked: 'v1.36.3',
      progress: upgrading({ done: ['stage', 'slot', 'cordon', 'evict', 'switch'] }, { open: open('configure', 0, 3) })
    },
    'upgrade v1.36.3 (configure failed 3 times)'
  ],
  [
    'a slot that is hard to get',
    {
      ...inCluster,
      asked: 'v1.36.3',
      progress: upgrading({ done: ['stage'] }, { open: open('slot', evictionMs * 9, 9) })
    },
    'slot v1.36.3'
  ],
  [
    'rolled back: the first step',
    { ...inCluster, asked: 'v1.36.3', progress: upgrading({ turn: 'rolled-back' }) },
    'switch-back v1.35.4'
  ],
  [
    'rolled back: the old one has trouble too',
    {
      ...inCluster,
      asked: 'v1.36.3',
      progress: upgrading(
        { turn: 'rolled-back', done: ['switch-back', 'restart-back'] },
        { open: open('verify-back', proofMs * 9, 9) }
      )
    },
    'verify-back v1.35.4'
  ],
  [
    'all done',
    { ...inCluster, asked: 'v1.36.3', progress: upgrading({ turn: 'blocked', done: ['uncordon', 'release'] }) },
    'finish v1.35.4'
  ],
  [
    'a power cut in the drain: the kubelet first',
    { ...inCluster, running: null, asked: 'v1.36.3', progress: upgrading({ done: ['stage', 'slot', 'cordon'] }) },
    'start v1.35.4'
  ],
  [
    'a power cut in the proof: it sees to that itself',
    {
      ...inCluster,
      running: null,
      asked: 'v1.36.3',
      progress: upgrading({ done: ['stage', 'slot', 'cordon', 'evict', 'switch', 'configure', 'restart'] })
    },
    'verify v1.36.3'
  ]
]
for (const [name, seen, want] of rows) {
  t.test(name, async t => {
    const step = decide(desired, { ...blank, ...seen })
    const note = step?.note === undefined ? '' : ` (${step.note.message})`
    t.equal(step === null ? null : `${step.step} ${step.version}`.trim() + note, want)
  })
}

t.test('without a word from the server', async t => {
  t.equal(decide(null, { ...blank, ...inCluster }), null)
  t.equal(decide(null, { ...blank, identity: 'expiring' })?.step, 'renew')
})

const stories: Array<[name: string, progress: Progress, waiting: string, want: string]> = [
  ['at rest', yes, '', 'ready'],
  [
    'waiting for a slot',
    upgrading({ done: ['stage'] }),
    'n2 has it',
    'held waiting for a slot to upgrade to v1.36.3: n2 has it'
  ],
  [
    'draining',
    upgrading({ done: ['stage', 'slot', 'cordon'] }),
    'a/b is kept',
    'draining upgrading to v1.36.3: evicting pods: a/b is kept'
  ],
  [
    'giving back',
    upgrading({ turn: 'blocked', reason: 'the label changed' }),
    'x',
    'held not upgraded to v1.36.3: the label changed'
  ],
  [
    'rolled back',
    { ...yes, refused: { target: 'v1.36.3', reason: 'no proof' } },
    '',
    'failed v1.36.3 was rolled back: no proof'
  ]
]
for (const [name, progress, waiting, want] of stories) {
  t.test(`story: ${name}`, async t => {
    const { state, reason } = tellStory(progress, waiting)
    t.equal(`${state} ${reason}`.trim(), want)
  })
}

// A row reads: what was done, which way it goes, the version that the node says it is out of service for.
const slots: Array<[name: string, changes: Parameters<typeof upgrading>[0], slot: string]> = [
  ['staging', { done: ['stage'] }, ''],
  ['granted', { done: ['stage', 'slot'] }, 'v1.36.3'],
  ['draining', { done: ['stage', 'slot', 'cordon'] }, 'v1.36.3'],
  ['going back', { turn: 'rolled-back', done: [] }, 'v1.36.3'],
  ['blocked', { turn: 'blocked', done: [] }, '']
]
for (const [name, changes, slot] of slots) {
  t.test(`slot: ${name}`, async t => t.equal(tellStory(upgrading(changes), '').slot, slot))
}

const pace = { backoffMs: 1_000, backoffMaxMs: 30_000 }
t.test('back-off and jitter', async t => {
  t.same(
    [1, 2, 5, 6, 60].map(failures => backoffMs(pace, failures)),
    [1_000, 2_000, 16_000, 30_000, 30_000]
  )
  t.same(
    [0, 0.5, 1].map(random => jitter(60_000, random)),
    [54_000, 60_000, 66_000]
  )
})

t.test('the loop waits longer while ticks fail, and not at all while there is something to do', async t => {
  const results = ['fail', 'fail', 0, 30_000, 'fail', 10_000]
  const slept: number[] = []
  const stop = new AbortController()
  await loop(
    pace,
    {
      tick: async () => {
        const result = results.shift()
        if (typeof result !== 'number') throw new Error('down')
        return result
      },
      failed: () => {},
      sleep: async ms => {
        slept.push(ms)
        if (results.length === 0) stop.abort()
      },
      random: () => 0.5
    },
    stop.signal
  )
  t.same(slept, [1_000, 2_000, 30_000, 1_000, 10_000])
})
