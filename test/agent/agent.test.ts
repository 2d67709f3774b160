import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { annotation, STATE_LABEL } from '../../server/contract/names.ts'
import { askFor, createWorld, pod, settle, startAgent, type World } from './world.ts'

const joined = (world: World) => () => world.server.phase === 'joined' && world.cluster.node !== null
const runs = (world: World, version: string) => () =>
  world.cluster.node?.status?.nodeInfo?.kubeletVersion === version &&
  world.server.slot === 'free' &&
  world.server.returned.length > 0

async function joinedWorld(root: string) {
  const world = createWorld(root)
  const agent = await startAgent(world)
  await settle(world, agent, joined(world))
  world.log.length = 0
  return { world, agent }
}

t.test('a new machine enrols, fetches Kubernetes, joins and labels its Node', async t => {
  const world = createWorld(t.testdir())
  const agent = await startAgent(world)
  world.server.closed = 'there is no cluster yet'
  await settle(world, agent, () => world.server.phase === 'joining')
  t.match([...world.server.steps.values()].at(-1), /^join note: .*there is no cluster yet/)
  world.server.closed = null
  await settle(world, agent, joined(world))
  t.same(
    world.log.filter(line => line !== 'POST /join' && !line.startsWith('patch')),
    [
      'POST /enrol',
      'GET /extensions/v1.35.4',
      'modprobe -a loop squashfs',
      'systemd-sysext refresh',
      'systemctl daemon-reload',
      'systemctl enable systemd-sysext.service',
      'kubeadm join --config=/run/slipway/join.yaml',
      'systemctl enable --now kubelet'
    ]
  )
  t.same(readdirSync(join(world.root, 'run/slipway')), [], 'nothing secret is left in /run')
  t.equal(statSync(join(world.root, 'var/lib/slipway-agent/identity.pem')).mode & 0o777, 0o600)
  t.match(world.cluster.node!.metadata, {
    labels: { 'hw.slipway.dev/cpu-sockets': '2', [STATE_LABEL]: 'ready' },
    annotations: { [annotation.hardwareLabels]: '["hw.slipway.dev/cpu-sockets"]' }
  })
  t.same(
    [...world.server.steps.keys()],
    [...world.server.steps.keys()].map((_, i) => i + 1),
    'seq grows by one'
  )
})

t.test('the first control plane makes the cluster and hands it over', async t => {
  const world = createWorld(t.testdir())
  world.server.role = 'control-plane'
  const agent = await startAgent(world)
  await settle(world, agent, () => joined(world)() && world.server.handedOver !== null)
  t.equal(world.server.handedOver, 'admin')
  t.equal(world.log.filter(line => line.startsWith('kubeadm init')).length, 1)
})

t.test('a join that failed is reset and tried again', async t => {
  const world = createWorld(t.testdir())
  world.failing.set('join', 1)
  world.files.write('/var/lib/kubelet/config.yaml', 'left over', 0o600).catch(t.threw)
  const agent = await startAgent(world)
  await settle(world, agent, joined(world))
  t.same(
    world.log.filter(line => line.startsWith('kubeadm')),
    [
      'kubeadm reset --force',
      'kubeadm join --config=/run/slipway/join.yaml',
      'kubeadm join --config=/run/slipway/join.yaml'
    ]
  )
})

t.test('the certificate is renewed before it ends', async t => {
  const { world, agent } = await joinedWorld(t.testdir())
  world.clock = new Date(world.clock.getTime() + 364.5 * 86_400_000)
  await settle(world, agent, () => world.log.includes('POST /renew'))
  world.log.length = 0
  await agent.tick(new AbortController().signal)
  t.same(world.log, [])
})

t.test('an upgrade by label', async t => {
  const { world, agent } = await joinedWorld(t.testdir())
  world.cluster.pods = [
    pod('web'),
    pod('daemon', {
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'd', uid: 'd', controller: true }]
    }),
    pod('static', { annotations: { 'kubernetes.io/config.mirror': 'x' } })
  ]
  world.cluster.budgets.set('web', 'The disruption budget web needs 2 healthy pods and has 2 currently')
  world.server.slot = 'taken'
  askFor(world, 'v1.36.3')
  await settle(world, agent, () =>
    /n2 has the slot/.test(world.cluster.node?.metadata.annotations[annotation.reason] ?? '')
  )
  t.equal(world.cluster.node?.metadata.labels[STATE_LABEL], 'held')
  t.notOk(world.cluster.node?.spec?.unschedulable, 'not cordoned without a slot')
  world.server.slot = 'free'
  await settle(world, agent, () =>
    /needs 2 healthy/.test(world.cluster.node?.metadata.annotations[annotation.reason] ?? '')
  )
  t.equal(world.cluster.node?.metadata.labels[STATE_LABEL], 'draining')
  t.equal(world.cluster.node?.spec?.unschedulable, true)
  world.cluster.budgets.clear()
  await settle(world, agent, runs(world, 'v1.36.3'))
  t.notOk(world.cluster.node?.spec?.unschedulable)
  t.same(world.server.returned, ['upgraded'])
  t.same(
    world.cluster.pods.map(({ metadata }) => metadata.name),
    ['daemon', 'static']
  )
  t.equal(world.log.filter(line => line === 'kubeadm upgrade node').length, 1)
  await settle(world, agent, () => world.cluster.node?.metadata.labels[STATE_LABEL] === 'ready')
})

t.test('an upgrade that does not prove itself is rolled back and not tried again', async t => {
  const { world, agent } = await joinedWorld(t.testdir())
  world.broken.add('v1.36.3')
  askFor(world, 'v1.36.3')
  await settle(world, agent, () => world.server.returned.length > 0 && world.server.phase === 'failed', 1_000)
  t.same(world.server.returned, ['rolled-back'])
  t.equal(world.cluster.node?.status?.nodeInfo?.kubeletVersion, 'v1.35.4')
  t.equal(await world.files.read('/var/lib/kubelet/config.yaml'), 'v1.35 config')
  t.notOk(world.cluster.node?.spec?.unschedulable)
  t.equal(world.cluster.node?.metadata.labels[STATE_LABEL], 'failed')
  world.log.length = 0
  await settle(world, agent, () => true)
  t.same(world.log, [])
  askFor(world, null)
  world.broken.clear()
  await settle(world, agent, () => world.server.phase === 'joined')
  askFor(world, 'v1.36.3')
  await settle(world, agent, () => world.server.returned.length > 1 && world.server.phase === 'joined')
  t.same(world.server.returned, ['rolled-back', 'upgraded'])
})

t.test('a step that fails three times turns the upgrade back', async t => {
  const { world, agent } = await joinedWorld(t.testdir())
  world.failing.set('upgrade', 3)
  askFor(world, 'v1.36.3')
  await settle(world, agent, () => world.server.returned.length > 0)
  t.same(world.server.returned, ['rolled-back'])
})

t.test('a label that changes before the switch gives the slot back', async t => {
  const { world, agent } = await joinedWorld(t.testdir())
  world.cluster.pods = [pod('web')]
  world.cluster.budgets.set('web', 'kept')
  askFor(world, 'v1.36.3')
  await settle(world, agent, () => world.cluster.node?.spec?.unschedulable === true)
  askFor(world, null)
  await settle(world, agent, () => world.server.returned.length > 0)
  t.same(world.server.returned, ['blocked'])
  t.notOk(world.cluster.node?.spec?.unschedulable)
  t.equal(world.cluster.node?.status?.nodeInfo?.kubeletVersion, 'v1.35.4')
})

t.test("an administrator's cordon stays", async t => {
  const { world, agent } = await joinedWorld(t.testdir())
  world.cluster.node = { ...world.cluster.node!, spec: { unschedulable: true } }
  askFor(world, 'v1.36.3')
  await settle(world, agent, runs(world, 'v1.36.3'))
  t.equal(world.cluster.node.spec?.unschedulable, true)
})

t.test('an extension that was unmerged and a kubelet that stopped are put right', async t => {
  const { world, agent } = await joinedWorld(t.testdir())
  await world.files.remove('/usr/bin/kubelet')
  await world.files.remove('/proc/77/exe')
  await settle(world, agent, () => world.log.includes('systemctl enable --now kubelet'))
  t.ok(world.log.includes('systemd-sysext refresh'))
})
