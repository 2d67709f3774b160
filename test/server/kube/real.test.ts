// Joining and the label, end to end over an API server: the simulated one, and the real 1.36 where it is at hand.
// What a real machine would do is done by hand: kubelets' requests, registration, the status of a node.

import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parseAllDocuments } from 'yaml'
import type { AnyDocument } from '../../../server/contract/document.ts'
import type { Machine } from '../../../server/contract/machine.ts'
import type { Mac } from '../../../server/contract/net.ts'
import { createKubeClient, type KubeClient } from '../../../server/kubeapi/client.ts'
import { textCredentials } from '../../../server/kubeapi/files.ts'
import type { CertificateSigningRequest, KubeNode } from '../../../server/kubeapi/objects.ts'
import { paths } from '../../../server/kubeapi/paths.ts'
import { type Cluster, openCluster } from '../../../server/kube/cluster.ts'
import { silentLog } from '../../../server/log.ts'
import { putDocument } from '../../../server/store/documents.ts'
import { listEvents } from '../../../server/store/events.ts'
import { listOpenJoinTokens } from '../../../server/store/join-tokens.ts'
import { createMachine, getMachine, moveMachine } from '../../../server/store/machines.ts'
import type { Db } from '../../../server/store/schema.ts'
import { createBus } from '../../../server/timeline.ts'
import { csrObject, eventually, issued, kubeletRequest, refusal, statusOf } from '../../contract/targets.ts'
import { memoryDatabase } from '../../helpers/database.ts'
import { needsTools } from '../../helpers/tools.ts'
import { startSimulatedApiServer } from '../../lab/apiserver/server.ts'
import { startCluster } from '../../lab/cluster.ts'

t.setTimeout(180_000)

interface Api {
  readonly server: string
  readonly caPem: string
  readonly adminKubeconfig: string
  readonly stop: () => Promise<void>
}

interface World {
  readonly api: Api
  readonly admin: KubeClient
  readonly db: Db
  readonly cluster: Cluster
  readonly ready: string[]
  readonly token: (reply: { config: string }) => string
  readonly bearer: (token: string) => KubeClient
  readonly events: (machine: string) => Promise<string[]>
}

const profile = (name: string, role: 'worker' | 'control-plane', labels = {}): AnyDocument => ({
  apiVersion: 'slipway.dev/v1',
  kind: 'Profile',
  metadata: { name },
  spec: {
    os: { name: 'fedora-coreos', version: '44', assets: 'fcos' },
    disks: { install: '/dev/vda' },
    kubernetes: { cluster: 'lab', role, version: 'v1.35.4', runtime: 'containerd' },
    labels
  }
})

async function createWorld(t: Test, api: Api): Promise<World> {
  const db = await memoryDatabase(t)
  const data = await mkdtemp(join(tmpdir(), 'slipway-kube-'))
  const now = () => new Date()
  const endpoint = new URL(api.server).host
  const spec = { endpoint, version: 'v1.36.3' }
  await putDocument(db, { apiVersion: 'slipway.dev/v1', kind: 'Cluster', metadata: { name: 'lab' }, spec }, now())
  await putDocument(
    db,
    profile('worker', 'worker', { 'slipway.node-restriction.kubernetes.io/row': 'a', rack: 'r1' }),
    now()
  )
  await putDocument(db, profile('control', 'control-plane'), now())
  const ready: string[] = []
  const kubeconfig = join(data, 'given')
  await writeFile(kubeconfig, api.adminKubeconfig)
  const deps = {
    db,
    now,
    bus: createBus(),
    log: silentLog,
    randomBytes,
    nodeReady: async (node: string, version: string | null) => void ready.push(`${node} ${version}`)
  }
  const cluster = await openCluster({ data, cluster: { kubeconfig } }, deps)
  const admin = createKubeClient(await textCredentials(api.adminKubeconfig))
  const clients = [admin]
  t.teardown(async () => {
    await cluster.close()
    for (const client of clients) client.close()
    await api.stop()
    await rm(data, { recursive: true })
  })
  await eventually(async () => (cluster.status()?.ok === true ? true : null))
  return {
    api,
    admin,
    db,
    cluster,
    ready,
    token: ({ config }) => String(parseAllDocuments(config)[0]?.getIn(['discovery', 'tlsBootstrapToken'])),
    bearer(token) {
      const { server, caPem } = api
      const client = createKubeClient(async () => credentials)
      const credentials = { server, caPem, serverName: null, certificatePem: null, keyPem: null, token }
      clients.push(client)
      return client
    },
    events: async machine => (await listEvents(db, { machine, limit: 100 })).map(({ type }) => type)
  }
}

/** A machine that has enrolled, with that name and profile. */
async function enrolled(db: Db, id: string, name: string, profileName: string): Promise<Machine> {
  const none = { serial: null, manufacturer: null, product: null, asset: null, arch: null, platform: null }
  const mac = `52:54:00:00:${id.slice(-4, -2)}:${id.slice(-2)}` as Mac
  await createMachine(db, { id, macs: [mac], hardware: { uuid: null, ...none } }, new Date())
  await moveMachine(db, id, 'discovered', 'enrolled', { name, profile: profileName }, new Date())
  const machine = await getMachine(db, id)
  if (machine === null) throw new TypeError('it was just created')
  return machine
}

async function request(world: World, token: string, name: string, node: string, spec: object = {}): Promise<string> {
  const { pem, keyPem } = kubeletRequest(node)
  const client = world.bearer(token)
  await eventually(async () =>
    (await statusOf(client.create(paths.csrs, csrObject(name, pem, spec)))) === 0 ? true : null
  )
  return keyPem
}

async function answered(world: World, name: string): Promise<string> {
  return eventually(async () => {
    const { status } = await world.admin.get<CertificateSigningRequest>(paths.csr(name))
    return status?.conditions?.[0]?.type ?? null
  })
}

async function joins(t: Test, world: World): Promise<KubeClient> {
  const machine = await enrolled(world.db, 'm-aaaa0001', 'n1', 'worker')
  const reply = await world.cluster.join(machine, new Date())
  if (reply.action !== 'join') throw new TypeError('want a join')
  const token = world.token(reply)
  t.match(token, /^[a-z0-9]{6}\.[a-z0-9]{16}$/)
  t.notMatch(reply.discovery, token)

  await request(world, token, 'other-name', 'n2')
  t.equal(await answered(world, 'other-name'), 'Denied')
  const keyPem = await request(world, token, 'right', 'n1')
  t.equal(await answered(world, 'right'), 'Approved')
  const certificatePem = await issued(world.admin, 'right')
  await eventually(async () => ((await listOpenJoinTokens(world.db)).length === 0 ? true : null))
  const secret = paths.secret('kube-system', `bootstrap-token-${token.slice(0, 6)}`)
  t.equal(await statusOf(world.admin.get(secret)), 404, 'the Secret goes with the certificate')
  await eventually(async () => ((await world.events(machine.id)).includes('join.csr-approved') ? true : null))
  const types = await world.events(machine.id)
  t.same(types.filter(type => type.startsWith('join.')).sort(), ['join.csr-approved', 'join.csr-refused', 'join.token'])

  const { server, caPem } = world.api
  const node = createKubeClient(async () => credentials)
  const credentials = { server, caPem, serverName: null, certificatePem, keyPem, token: null }
  t.teardown(() => node.close())
  return node
}

async function registers(t: Test, world: World, kubelet: KubeClient): Promise<void> {
  await kubelet.create(paths.nodes, { metadata: { name: 'n1', labels: { rack: 'r1' } } })
  await says(kubelet, 'n1', 'v1.35.4')
  await eventually(async () => (world.ready.includes('n1 v1.35.4') ? true : null))
  const labels = await eventually(async () => {
    const { metadata } = await world.admin.get<KubeNode>(paths.node('n1'))
    return metadata.labels?.['slipway.node-restriction.kubernetes.io/row'] === undefined ? null : metadata.labels
  })
  t.equal(labels['slipway.node-restriction.kubernetes.io/row'], 'a', 'labels that a kubelet may not set')
  t.match(world.cluster.nodes(), [{ name: 'n1', machine: 'm-aaaa0001', ready: true, version: 'v1.35.4', asked: null }])
}

/** What a kubelet reports. */
async function says(client: KubeClient, node: string, kubeletVersion: string): Promise<void> {
  const conditions = [
    { type: 'Ready', status: 'True', reason: 'KubeletReady', lastHeartbeatTime: new Date().toISOString() }
  ]
  await client.patch(paths.nodeStatus(node), { status: { conditions, nodeInfo: { kubeletVersion } } }, 'strategic')
}

async function follows(t: Test, world: World, kubelet: KubeClient): Promise<void> {
  const label = async (client: KubeClient, version: string) =>
    client.patch(paths.node('n1'), { metadata: { labels: { 'slipway.dev/version': version } } }, 'merge')
  const answer = async (pattern: RegExp) =>
    eventually(async () => (pattern.test(world.cluster.nodes()[0]?.reason ?? '') ? true : null))
  // The policy is in force some seconds after it was made; asked without effect, or a first success would be an intent.
  const probe = { metadata: { labels: { 'slipway.dev/version': 'v1.36.1' } } }
  const dry = { query: { dryRun: 'All' } }
  const probed = async () => statusOf(kubelet.patch(paths.node('n1'), probe, 'merge', dry))
  await eventually(async () => ((await probed()) === 403 ? true : null))
  t.equal((await refusal(label(kubelet, 'v1.36.3'))).status, 403, 'a node asks nothing of itself')

  await label(world.admin, 'v1.34.9')
  await answer(/^refused v1\.34\.9: .*downgrade/)
  await label(world.admin, 'v1.37.0')
  await answer(/^refused v1\.37\.0: .*more than one minor/)
  t.equal(world.cluster.upgradeFacts('n1').accepted, null)
  await label(world.admin, 'v1.36.3')
  await eventually(async () => (world.cluster.upgradeFacts('n1').accepted === 'v1.36.3' ? true : null))
  t.equal(world.cluster.upgradeFacts('n1').apiServer, 'v1.36.3')
  const forged = { metadata: { labels: { 'slipway.node-restriction.kubernetes.io/version': 'v1.36.9' } } }
  t.equal(await statusOf(kubelet.patch(paths.node('n1'), forged, 'merge')), 403, 'nor forges the answer')
  await eventually(async () => ((await world.events('m-aaaa0001')).includes('upgrade.mirrored') ? true : null))
  const types = (await world.events('m-aaaa0001')).filter(type => type.startsWith('upgrade.')).sort()
  t.same(types, [
    'upgrade.asked',
    'upgrade.asked',
    'upgrade.asked',
    'upgrade.mirrored',
    'upgrade.refused',
    'upgrade.refused'
  ])
  await world.admin.patch(paths.node('n1'), { metadata: { labels: { 'slipway.dev/version': null } } }, 'merge')
  await eventually(async () => (world.cluster.upgradeFacts('n1').accepted === null ? true : null))
  t.equal(world.cluster.nodes()[0]?.asked, null, 'taken back before anything was begun: nothing is')
}

async function retries(t: Test, world: World): Promise<void> {
  const machine = await enrolled(world.db, 'm-aaaa0002', 'n5', 'worker')
  const first = await world.cluster.join(machine, new Date())
  const second = await world.cluster.join(machine, new Date())
  t.not(world.token(first), world.token(second))
  const open = await listOpenJoinTokens(world.db)
  t.same(
    open.map(({ id }) => id),
    [world.token(second).slice(0, 6)],
    'a machine has one token'
  )
  await request(world, world.token(second), 'serving', 'n5', { usages: ['server auth', 'digital signature'] })
  t.equal(await answered(world, 'serving'), 'Denied')
  const control = await enrolled(world.db, 'm-aaaa0003', 'cp2', 'control')
  await t.rejects(world.cluster.join(control, new Date()), { name: 'Fault', code: 'conflict' })
}

async function story(t: Test, start: () => Promise<Api>): Promise<void> {
  const world = await createWorld(t, await start())
  const kubelet = await joins(t, world)
  await registers(t, world, kubelet)
  await follows(t, world, kubelet)
  await retries(t, world)
}

async function simulated(): Promise<Api> {
  const failed = (error: unknown) => {
    throw error
  }
  const api = await startSimulatedApiServer({ version: 'v1.36.3', now: () => new Date(), failed })
  return { server: api.url, caPem: api.caPem, adminKubeconfig: api.adminKubeconfig, stop: async () => api.close() }
}

t.test('join, label and refusals: simulated', async t => story(t, simulated))

t.test('join, label and refusals: kube-apiserver 1.36', needsTools(), async t =>
  story(t, async () => {
    const { server, caPem, adminKubeconfig, stop } = await startCluster({ version: '1.36' })
    return { server, caPem, adminKubeconfig, stop }
  })
)

t.test('the first control plane begins the cluster, and hands it over', async t => {
  const db = await memoryDatabase(t)
  const data = await mkdtemp(join(tmpdir(), 'slipway-first-'))
  const now = () => new Date()
  const spec = { endpoint: '127.0.0.1:6443', version: 'v1.36.3' }
  await putDocument(db, { apiVersion: 'slipway.dev/v1', kind: 'Cluster', metadata: { name: 'lab' }, spec }, now())
  await putDocument(db, profile('worker', 'worker'), now())
  await putDocument(db, profile('control', 'control-plane'), now())
  const deps = { db, now, bus: createBus(), log: silentLog, randomBytes, nodeReady: async () => {} }
  const cluster = await openCluster({ data, cluster: null }, deps)
  t.teardown(async () => {
    await cluster.close()
    await rm(data, { recursive: true })
  })
  const worker = await enrolled(db, 'm-bbbb0001', 'w1', 'worker')
  const first = await enrolled(db, 'm-bbbb0002', 'cp1', 'control')
  const second = await enrolled(db, 'm-bbbb0003', 'cp2', 'control')
  t.equal(cluster.status(), null)
  await t.rejects(cluster.join(worker, now()), { code: 'unavailable', message: /waiting for a machine of role/ })
  t.match(await cluster.join(first, now()), { action: 'init' })
  await t.rejects(cluster.join(second, now()), { code: 'unavailable', message: /waiting for cp1/ })
  t.match(await cluster.join(first, now()), { action: 'init' }, 'asked again, it is still the one')

  const api = await simulated()
  t.teardown(api.stop)
  await t.rejects(cluster.handover(second, api.adminKubeconfig, now()), { code: 'forbidden' })
  await t.rejects(cluster.handover(first, 'clusters: []', now()), { code: 'invalid' })
  await cluster.handover(first, api.adminKubeconfig, now())
  t.equal(await readFile(join(data, 'kubeconfig'), 'utf8'), api.adminKubeconfig)
  await eventually(async () => (cluster.status()?.ok === true ? true : null))
  t.match(await cluster.join(worker, now()), { action: 'join' })
})

t.test('a configured kubeconfig that is not there stops the start', async t => {
  const deps = {
    db: await memoryDatabase(t),
    now: () => new Date(),
    bus: createBus(),
    log: silentLog,
    randomBytes,
    nodeReady: async () => {}
  }
  const config = { data: tmpdir(), cluster: { kubeconfig: '/nonexistent/kubeconfig' } }
  await t.rejects(openCluster(config, deps), { code: 'not_found', message: /cluster\.kubeconfig/ })
})
