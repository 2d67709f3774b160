// The simulated system and its programs, started as the agent starts them: an extension is merged, kubeadm makes a
// cluster and joins it with a token, the kubelet reports; an upgrade changes what runs only at the restart.

import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { execa } from 'execa'
import t, { type Test } from 'tap'
import type { KubeNode } from '../../server/kubeapi/objects.ts'
import type { Stored } from './apiserver/objects.ts'
import { freePorts } from './ports.ts'
import { type Cluster, createCluster } from './rack/cluster.ts'
import { pause } from './rack/http.ts'
import { type Answer, said, servePrograms } from './rack/program-server.ts'
import { runProgram } from './rack/programs.ts'
import { rackOf } from './rack/spec.ts'
import { boot, extensionText, powerOff, programPath, type System } from './rack/system.ts'

interface Ran {
  exitCode: number
  stdout: string
  stderr: string
}

interface World {
  cluster: Cluster
  systems: System[]
  run: (system: System, program: string, ...args: string[]) => Promise<Ran>
}

async function openWorld(t: Test): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-rack-'))
  const ending = new AbortController()
  const cluster = createCluster((await freePorts()).cluster, error => t.error(error))
  const socket = join(folder, 'rack.sock')
  const systems: System[] = []
  const programs = await servePrograms(socket, async ({ machine, program, args }, signal) => {
    const system = systems.find(({ spec }) => spec.name === machine)!
    return await runProgram(system, program, args, signal)
  })
  for (const spec of rackOf(2)) {
    const root = join(folder, spec.name)
    await mkdir(join(root, 'etc/systemd/system/multi-user.target.wants'), { recursive: true })
    const deps = { spec, root, address: '127.77.0.10', socket, cluster, signal: ending.signal }
    systems.push(await boot({ ...deps, console: () => {}, started: () => {} }))
  }
  t.teardown(async () => {
    await Promise.all(systems.map(powerOff))
    await programs.close()
    await cluster.close()
    ending.abort()
    await rm(folder, { recursive: true })
  })
  return {
    cluster,
    systems,
    run: async ({ root }, program, ...args) => {
      const env = { PATH: programPath(root), SLIPWAY_ROOT: root }
      const { exitCode = -1, stdout, stderr } = await execa(program, args, { env, extendEnv: false, reject: false })
      return { exitCode, stdout, stderr }
    }
  }
}

async function write(root: string, path: string, text: string): Promise<string> {
  await mkdir(dirname(join(root, path)), { recursive: true })
  await writeFile(join(root, path), text)
  return join(root, path)
}

async function eventually<T>(what: () => T | null | undefined | false): Promise<T> {
  for (let attempt = 0; attempt < 400; attempt += 1) {
    const found = what()
    if (found !== null && found !== undefined && found !== false) return found
    await pause(25, new AbortController().signal)
  }
  throw new Error(`never: ${what.toString()}`)
}

const nodeOf = (cluster: Cluster, name: string): KubeNode | null => cluster.api?.store.find('nodes', null, name) ?? null
const isReady = (node: KubeNode | null): boolean =>
  node?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false

async function merge({ run }: World, system: System, version: string): Promise<void> {
  await write(system.root, 'var/lib/extensions/kubernetes.raw', extensionText(version, 'x86_64'))
  const { exitCode, stderr } = await run(system, 'systemd-sysext', 'refresh')
  if (exitCode !== 0) throw new Error(stderr)
}

t.test('a program that is killed before it is answered leaves the rack as it was', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-rack-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const socket = join(folder, 'rack.sock')
  const asked = Promise.withResolvers<void>()
  const told = Promise.withResolvers<Answer>()
  const programs = await servePrograms(socket, () => {
    asked.resolve()
    return told.promise
  })
  t.teardown(() => programs.close())
  const killed = connect(socket)
  killed.write('{"machine":"m","program":"kubeadm","args":[]}\n')
  await asked.promise
  killed.destroy()
  await once(killed, 'close')
  told.resolve(said('late'))
  const next = connect(socket)
  next.write('{"machine":"m","program":"kubeadm","args":[]}\n')
  t.same(JSON.parse(await text(next)), said('late'))
})

t.test('init, join, upgrade', async t => {
  const world = await openWorld(t)
  const { run, cluster } = world
  const [first, second] = world.systems as [System, System]
  const shown = async (system: System) =>
    (await run(system, 'systemctl', 'show', '-p', 'MainPID', '--value', 'kubelet')).stdout

  t.match(await run(first, 'kubeadm', 'version'), { exitCode: -1 }, 'not in /usr yet')
  await merge(world, first, 'v1.35.4')
  t.equal((await run(first, 'kubelet', '--version')).stdout, 'Kubernetes v1.35.4')
  t.equal(await shown(first), '0')

  const init = `apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
nodeRegistration: {name: cp-1}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.35.4
`
  const initFile = await write(first.root, 'run/slipway/init.yaml', init)
  t.match(await run(first, 'kubeadm', 'init', `--config=${initFile}`), { exitCode: 0 })
  t.match(await run(first, 'kubeadm', 'init', `--config=${initFile}`), { exitCode: 2 }, 'not twice')
  const node = await eventually(() => isReady(nodeOf(cluster, 'cp-1')) && nodeOf(cluster, 'cp-1'))
  t.equal(node.status?.nodeInfo?.kubeletVersion, 'v1.35.4')
  t.equal(node.spec?.taints?.[0]?.effect, 'NoSchedule', 'no workload on the control plane')

  await t.test('join waits for approval', async t => {
    const { store } = cluster.api!
    const secret = {
      'token-id': 'abcdef',
      'token-secret': '0123456789abcdef',
      'usage-bootstrap-authentication': 'true',
      'auth-extra-groups': 'system:bootstrappers:slipway:worker'
    }
    const data = Object.fromEntries(Object.entries(secret).map(([key, value]) => [key, btoa(value)]))
    const metadata = { name: 'bootstrap-token-abcdef', namespace: 'kube-system' }
    store.put('secrets', {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata,
      type: 'bootstrap.kubernetes.io/token',
      data
    })
    const { installedObjects } = await import('../../server/kube/rbac.ts')
    for (const { collection, object } of installedObjects) {
      store.put(collection.split('/').at(-1)!, object as unknown as Stored)
    }
    await merge(world, second, 'v1.35.4')
    const kubeconfig = `apiVersion: v1
kind: Config
current-context: ''
clusters:
- {name: '', cluster: {server: '${cluster.url}', certificate-authority-data: ${btoa(cluster.api!.caPem)}}}
`
    await write(second.root, 'run/slipway/discovery.conf', kubeconfig)
    const join = `apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
nodeRegistration:
  name: worker-1
  kubeletExtraArgs: [{name: node-labels, value: 'example.com/rack=lab'}]
discovery:
  file: {kubeConfigPath: /run/slipway/discovery.conf}
  tlsBootstrapToken: abcdef.0123456789abcdef
`
    const file = await write(second.root, 'run/slipway/join.yaml', join)
    const joining = run(second, 'kubeadm', 'join', `--config=${file}`)
    const csr = await eventually(() => store.list('certificatesigningrequests')[0])
    t.match(csr, { spec: { username: 'system:bootstrap:abcdef' } })
    store.put('certificatesigningrequests', {
      ...csr,
      status: { conditions: [{ type: 'Approved', status: 'True', reason: 'Test', message: 'by the test' }] }
    })
    t.match(await joining, { exitCode: 0 })
    const joined = await eventually(() => isReady(nodeOf(cluster, 'worker-1')) && nodeOf(cluster, 'worker-1'))
    t.match(joined.metadata.labels, { 'example.com/rack': 'lab', 'kubernetes.io/hostname': 'worker-1' })
    t.ok(await eventually(() => store.find('leases', 'kube-node-lease', 'worker-1')), 'it renews its Lease')
    const pem = await readFile(`${second.root}/var/lib/kubelet/pki/kubelet-client-current.pem`, 'utf8')
    t.match(pem, /BEGIN CERTIFICATE[^]*BEGIN PRIVATE KEY/)
    await eventually(() => {
      const pods = store.list('pods', 'default')
      return pods.length === 3 && pods.every(({ status }) => (status as { phase?: string }).phase === 'Running')
    })
    t.match(store.list('poddisruptionbudgets')[0], { status: { disruptionsAllowed: 1, currentHealthy: 3 } })
  })

  await t.test('the running kubelet is the old one until it is restarted', async t => {
    const pid = await shown(first)
    const exe = (system: System, number: string) => run(system, `${system.root}/proc/${number}/exe`, '--version')
    await merge(world, first, 'v1.36.3')
    t.equal((await run(first, 'kubelet', '--version')).stdout, 'Kubernetes v1.36.3')
    t.equal((await exe(first, pid)).stdout, 'Kubernetes v1.35.4')
    t.match(await run(first, 'kubeadm', 'upgrade', 'apply', '--yes', 'v1.36.3'), { exitCode: 0 })
    t.match(await run(first, 'systemctl', 'restart', 'kubelet.service'), { exitCode: 0 })
    t.not(await shown(first), pid)
    t.equal((await exe(first, await shown(first))).stdout, 'Kubernetes v1.36.3')
    await eventually(() => nodeOf(cluster, 'cp-1')?.status?.nodeInfo?.kubeletVersion === 'v1.36.3')
  })

  t.match(await run(first, 'systemctl', 'is-active', 'kubelet'), { exitCode: 0, stdout: 'active' })
  t.match(await run(first, 'systemctl', 'stop', 'kubelet'), { exitCode: 0 })
  t.equal(await shown(first), '0')
  t.match(await run(first, 'kubeadm', 'reset', '--force'), { exitCode: 0 })
})
