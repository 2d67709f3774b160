// The label is the whole upgrade procedure: a node with a pod behind a budget, a control plane that has gone ahead, one
// `kubectl label`. The budget holds the node back until its owner relaxes it; agent and server are killed on the way.

import type { Test } from 'tap'
import { annotation, intent, MIRRORED_VERSION } from '../../server/contract/names.ts'
import type { TimelineEvent } from '../../server/contract/event.ts'
import type { Machine } from '../../server/contract/machine.ts'
import type { Provisioned } from './provision.ts'
import { show, storyOf } from './story.ts'
import { until } from './served.ts'
import type { Stage } from './stage.ts'

const target = 'v1.36.3'
const minute = 60_000
const patience = { pod: 4 * minute, blocked: 5 * minute, upgraded: 8 * minute }

const workload = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: default}
spec:
  replicas: 1
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      terminationGracePeriodSeconds: 5
      containers: [{name: app, image: docker.io/lab/app:1, imagePullPolicy: Never}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: app-budget, namespace: default}
spec: {minAvailable: 1, selector: {matchLabels: {app: app}}}
`

export async function upgrade(t: Test, stage: Stage, node: Provisioned): Promise<void> {
  const { kubectl } = stage
  const inside = async (script: string): Promise<string> => (await node.guest.shell(node.address, script)).output.trim()
  const readNode = async (): Promise<NodeObject> =>
    JSON.parse(await kubectl(['get', 'node', node.name, '-o', 'json'])) as NodeObject
  const stepped = (pattern: RegExp, timeoutMs: number): Promise<TimelineEvent> =>
    until(String(pattern), timeoutMs, async () => {
      const events = await stage.timeline(node.id)
      return events.findLast(({ type, message }) => type === 'agent.step' && pattern.test(message)) ?? null
    })

  await kubectl(['apply', '-f', '-'], workload)
  const first = await until('the pod to run', patience.pod, () => findPod(stage))
  await stage.cluster.upgrade('1.36')
  await kubectl(['label', 'node', node.name, `${intent.version}=${target}`])

  await t.test('the budget holds it back, and the timeline says so by name', async t => {
    const event = await stepped(/^evict .*app-budget/, patience.blocked)
    t.match(event.message, /default\/app-\S+ is kept by its budget/)
    const machine = await stage.get<Machine>(`/api/v1/machines/${node.id}`)
    t.equal(machine.state, 'maintenance', 'it has the slot')
    t.equal(await podName(stage), first, 'the pod is the same one')
    const spec = await readNode()
    t.equal(spec.spec.unschedulable, true, 'it is cordoned')
    t.equal(spec.metadata.labels[MIRRORED_VERSION], target, 'the label was accepted and mirrored')
    const told = await until('the node to tell why', minute, async () => {
      const node = await readNode()
      const reason = node.metadata.annotations[annotation.reason] ?? ''
      return reason.includes('app-budget') ? node.metadata : null
    })
    t.equal(told.labels['slipway.dev/state'], 'draining')
  })

  const agent = await inside('systemctl show -p MainPID --value slipway-agent')
  await t.test('server and agent are killed, and go on', async t => {
    await stage.killServer()
    await inside('systemctl kill -s KILL slipway-agent')
    await kubectl(['patch', 'pdb', 'app-budget', '--type=merge', '-p', '{"spec":{"minAvailable":0}}'])
    await stepped(/^switch end/, patience.upgraded)
    await inside('systemctl kill -s KILL slipway-agent')
    await stage.killServer()
    const again = await until('another agent', minute, async () => {
      const pid = await inside('systemctl show -p MainPID --value slipway-agent')
      return pid === '0' || pid === '' ? null : pid
    })
    t.not(again, agent)
  })

  await until('the slot to come back', patience.upgraded, async () => {
    const events = await stage.timeline(node.id)
    return events.find(({ type }) => type === 'slot.returned') ?? null
  })
  await stepped(/^upgrade end/, minute)
  await t.test('the node', async t => {
    const after = await readNode()
    t.equal(after.status.nodeInfo.kubeletVersion, target)
    t.equal(after.status.conditions.find(({ type }) => type === 'Ready')?.status, 'True', 'it is Ready')
    t.not(after.spec.unschedulable, true, 'it may be scheduled to')
    const pod = await until('the pod to run again', patience.pod, () => findPod(stage))
    t.not(pod, first, 'the evicted pod has a successor')
    const machine = await stage.get<Machine>(`/api/v1/machines/${node.id}`)
    t.match(machine, { state: 'ready', version: target })
  })
  await t.test('inside the guest', async t => {
    const running = '(exec -a kubelet /proc/$(systemctl show -p MainPID --value kubelet)/exe --version)'
    t.equal(await inside(running), `Kubernetes ${target}`, 'the process that runs')
    t.match(await inside('readlink /var/lib/extensions/kubernetes.raw'), new RegExp(`kubernetes-${target}\\.raw$`))
    t.match(await inside('systemd-sysext status'), /kubernetes/)
  })
  await t.test('the whole timeline', async t => {
    const events = await stage.timeline(node.id)
    const since = events.findIndex(({ type }) => type === 'upgrade.mirrored')
    t.comment(show(events.slice(since)))
    t.same(storyOf(events.slice(since)).filter(isOnce), wantedUpgrade)
  })
}

interface NodeObject {
  metadata: { labels: Record<string, string>; annotations: Record<string, string> }
  spec: { unschedulable?: boolean }
  status: { nodeInfo: { kubeletVersion: string }; conditions: Array<{ type: string; status: string }> }
}

/** Kills make steps begin again, and labels are written whenever something changes: only the ends of the rest count. */
function isOnce(word: string): boolean {
  return (word.endsWith(' end') && word !== 'label end') || /^(upgrade|slot)\./.test(word)
}

const wantedUpgrade = [
  'upgrade.mirrored',
  'stage end',
  'slot.granted',
  'slot end',
  'cordon end',
  'evict end',
  'switch end',
  'configure end',
  'restart end',
  'verify end',
  'uncordon end',
  'slot.returned',
  'release end',
  'upgrade end'
]

/** The pod that runs; null while none does. */
async function findPod(stage: Stage): Promise<string | null> {
  const args = ['get', 'pods', '-l', 'app=app', '--field-selector=status.phase=Running', '-o', 'name']
  const [name = ''] = (await stage.kubectl(args)).split('\n')
  return name === '' ? null : name
}

async function podName(stage: Stage): Promise<string | null> {
  const [name = ''] = (await stage.kubectl(['get', 'pods', '-l', 'app=app', '-o', 'name'])).split('\n')
  return name === '' ? null : name
}
