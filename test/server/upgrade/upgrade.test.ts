// Intents and slots as tables: what is asked, in which cluster, and the answer with its reason.

import t from 'tap'
import { type Asked, decideIntent } from '../../../server/upgrade/intent.ts'
import { decideSlot, type SlotQuestion } from '../../../server/upgrade/slot.ts'
import { parseVersion } from '../../../server/upgrade/version.ts'

const worker: Asked = {
  target: 'v1.36.3',
  role: 'worker',
  running: 'v1.35.4',
  apiServer: 'v1.36.3',
  askedOfControlPlane: []
}

type IntentRow = [name: string, change: Partial<Asked>, verdict: 'accept' | 'wait' | 'refuse', reason?: RegExp]

const intents: IntentRow[] = [
  ['the API server’s own version', {}, 'accept'],
  ['a patch', { target: 'v1.35.5' }, 'accept'],
  ['what it runs already', { target: 'v1.35.4' }, 'accept'],
  ['no version', { target: 'latest' }, 'refuse', /write it as v1\.36\.4/],
  ['without the v', { target: '1.36.3' }, 'refuse', /write it as/],
  ['a pre-release', { target: 'v1.36.3-rc.0' }, 'refuse', /not a version/],
  ['leading zeros', { target: 'v1.036.3' }, 'refuse', /not a version/],
  ['an older patch', { target: 'v1.35.3' }, 'refuse', /downgrade/],
  ['an older minor', { target: 'v1.34.9' }, 'refuse', /downgrade/],
  ['two minors at once', { running: 'v1.34.9' }, 'refuse', /go to v1\.35 first/],
  ['newer than the API server', { apiServer: 'v1.35.4' }, 'refuse', /label the control plane/],
  ['a newer patch than the API server', { target: 'v1.36.4' }, 'refuse', /newer than the API server/],
  [
    'newer, and the control plane was asked too',
    { apiServer: 'v1.35.4', askedOfControlPlane: ['v1.36.3'] },
    'wait',
    /control plane goes first/
  ],
  [
    'newer than what the control plane was asked',
    { apiServer: 'v1.35.4', target: 'v1.36.4', askedOfControlPlane: ['v1.36.3'] },
    'refuse',
    /newer than the API server/
  ],
  ['a node that has not spoken', { running: null }, 'wait', /has not said/],
  ['an API server with a build', { apiServer: 'v1.36.3+vendor.1' }, 'accept'],
  ['an API server of no known version', { apiServer: 'unknown' }, 'wait', /not understood/],
  ['control plane: one minor above the API server', { role: 'control-plane', apiServer: 'v1.35.4' }, 'accept'],
  [
    'control plane: two above',
    { role: 'control-plane', target: 'v1.36.3', apiServer: 'v1.34.1', running: 'v1.35.4' },
    'refuse',
    /go to v1\.35 first/
  ],
  ['control plane: older', { role: 'control-plane', target: 'v1.35.3', apiServer: 'v1.35.4' }, 'refuse', /downgrade/]
]

t.test('intents', async t => {
  for (const [name, change, verdict, reason] of intents) {
    const answer = decideIntent({ ...worker, ...change })
    t.equal(answer.verdict, verdict, name)
    if (reason !== undefined && answer.verdict !== 'accept') t.match(answer.reason, reason, name)
  }
})

const question: SlotQuestion = {
  machine: 'm-1',
  target: 'v1.36.3',
  accepted: 'v1.36.3',
  role: 'worker',
  apiServer: 'v1.36.3',
  holder: null,
  controlPlanePending: []
}

type SlotRow = [name: string, change: Partial<SlotQuestion>, want: 'apply' | 'node' | RegExp]

const slots: SlotRow[] = [
  ['free', {}, 'node'],
  ['held by itself: asked again after a crash', { holder: { machine: 'm-1', target: 'v1.36.3' } }, 'node'],
  ['held by another', { holder: { machine: 'm-2', target: 'v1.36.3' } }, /m-2 is out of service for v1\.36\.3/],
  ['nothing was accepted', { accepted: null }, /no version was accepted/],
  ['something else was accepted', { accepted: 'v1.35.5' }, /v1\.35\.5 was accepted for this node, not v1\.36\.3/],
  ['no version', { target: 'x' }, /not a version/],
  ['the API server is behind', { apiServer: 'v1.35.4' }, /control plane goes first/],
  ['the API server is silent', { apiServer: null }, /has not said/],
  ['a control plane is on its way', { controlPlanePending: ['cp1'] }, /cp1 is on its way/],
  ['control plane, API server behind', { role: 'control-plane', apiServer: 'v1.35.4' }, 'apply'],
  ['control plane, API server there', { role: 'control-plane' }, 'node'],
  [
    'control plane, killed after kubeadm upgrade apply',
    { role: 'control-plane', holder: { machine: 'm-1', target: 'v1.36.3' } },
    'node'
  ]
]

t.test('slots', async t => {
  for (const [name, change, want] of slots) {
    const answer = decideSlot({ ...question, ...change })
    if (want instanceof RegExp) t.match(answer, { granted: false, reason: want }, name)
    else t.match(answer, { granted: true, command: want }, name)
  }
})

t.test('versions', async t => {
  t.same(parseVersion('v1.36.10'), { minor: 36, patch: 10 })
  for (const text of ['', 'v1.36', 'v2.0.0', 'v1.36.3 ', 'v1.36.3\n', 'V1.36.3', 'v1.9999.0']) {
    t.equal(parseVersion(text), null, JSON.stringify(text))
  }
})
