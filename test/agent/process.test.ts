// The agent as a process, over real sockets: killed with SIGKILL at each of its requests in turn, and at commands.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { STATE_LABEL } from '../../server/contract/names.ts'
import { askFor, createWorld, pod, type World } from './world.ts'
import { openWire } from './wire.ts'

const main = join(import.meta.dirname, '../../agent/main.ts')

/** Each is a moment at which the process is killed, once, in the middle of the request. */
const moments = [
  /POST .*enrol/,
  /GET \/v1\.35\.4/,
  /POST .*join/,
  /api PATCH/,
  /POST .*slot/,
  /api GET .*pods/,
  /api POST .*eviction/,
  /api GET .*leases/,
  /DELETE .*slot/
]

// Seconds on an idle machine; the machine may be busy.
t.setTimeout(110_000)

t.test('killed at every request, it comes to the same end', { timeout: 90_000 }, async t => {
  const world = createWorld(t.testdir())
  world.clock = new Date()
  world.server.pollSeconds = 1
  const left = [...moments]
  const isUpgraded = () =>
    world.server.returned.length > 0 &&
    world.server.phase === 'joined' &&
    world.cluster.node?.metadata.labels[STATE_LABEL] === 'ready'
  let child: ChildProcess | null = null
  const wire = await openWire(world, request => {
    world.clock = new Date()
    joinWhenConfigured(world)
    if (world.server.phase === 'joined' && !asked(world)) {
      world.cluster.pods = [pod('web')]
      askFor(world, 'v1.36.3')
    }
    if (isUpgraded() && child?.killed === false) child.kill('SIGTERM')
    if (!left[0]?.test(request)) return false
    left.shift()
    child?.kill('SIGKILL')
    return true
  })
  t.teardown(async () => {
    child?.kill('SIGKILL')
    await wire.close()
  })
  const kills: string[] = []
  while (!isUpgraded()) {
    child = spawn(process.execPath, [main, 'run', '--root', world.root, '--path', wire.path], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: wire.path }
    })
    const ended = once(child, 'exit')
    let complaints = ''
    child.stderr!.on('data', (chunk: Buffer) => (complaints += String(chunk)))
    const [code, name] = (await ended) as [number | null, string | null]
    kills.push(name ?? `exit ${code}`)
    t.equal(complaints, '')
  }
  t.same(left, [], 'every moment came')
  t.same(kills, [...moments.map(() => 'SIGKILL'), 'exit 0'])
  t.match(world.server, { returned: ['upgraded'], slot: 'free' })
  t.same(world.cluster.pods, [])
  t.notOk(world.cluster.node?.spec?.unschedulable)
  t.equal(world.cluster.node?.status?.nodeInfo?.kubeletVersion, 'v1.36.3')
  t.same(readdirSync(join(world.root, 'run/slipway')), [])
  t.same(
    [...world.server.steps.keys()],
    [...world.server.steps.keys()].map((_, i) => i + 1),
    'every step was told once'
  )
  t.equal(statSync(join(world.root, 'var/lib/slipway-agent/identity.pem')).mode & 0o777, 0o600)
})

function asked(world: World): boolean {
  return Object.keys(world.cluster.node?.metadata.labels ?? {}).some(key => key.includes('node-restriction'))
}

/** The kubelet that kubeadm configured registers its Node. */
function joinWhenConfigured({ root, cluster }: World): void {
  if (!existsSync(join(root, 'etc/kubernetes/kubelet.conf'))) return
  cluster.node ??= { metadata: { name: 'n1', resourceVersion: '1', labels: {}, annotations: {} }, spec: {} }
}
