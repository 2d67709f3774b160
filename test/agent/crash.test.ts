// A SIGKILL after every record of the journal, in the middle of every record, and after every command, each in turn: a new
// agent over the same machine must come to the same end. The real signal is sent in process.test.ts.

import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Files } from '../../agent/files.ts'
import type { Run } from '../../agent/run.ts'
import { askFor, Crash, createWorld, machineOf, pod, settle, startAgent, type World } from './world.ts'

type Kind = 'after record' | 'inside record' | 'after command'

/** Dies at the n-th event of its kind; nothing works afterwards, as nothing does for the dead. */
function mortal(world: World, kind: Kind, n: number): { files: Files; run: Run; events: () => number } {
  let events = 0
  let dead = false
  const at = (mine: Kind): boolean => kind === mine && (events += 1) === n
  const die = (): never => {
    dead = true
    throw new Crash(`${kind} ${n}`)
  }
  const { files } = world
  const run = machineOf(world)
  const alive =
    <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> =>
      dead ? die() : call(...args)
  return {
    files: {
      ...files,
      write: alive(files.write),
      remove: alive(files.remove),
      link: alive(files.link),
      save: alive(files.save),
      append: alive(async (path, text) => {
        if (at('inside record')) {
          await files.append(path, text.slice(0, text.length / 2))
          die()
        }
        await files.append(path, text)
        if (at('after record')) die()
      })
    },
    run: alive(async (file, args, limits) => {
      const ran = await run(file, args, limits)
      return at('after command') ? die() : ran
    }),
    events: () => events
  }
}

function newRoot(): string {
  return mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'slipway-agent-'))
}

/** From nothing to joined to upgraded; the clock and the cluster go on while the agent is dead. */
async function live(world: World, first: { files: Files; run: Run }): Promise<number> {
  let deaths = 0
  let agent = await startAgent(world, first.files, first.run)
  const goals = [
    () => world.server.phase === 'joined' && world.cluster.node !== null,
    () => world.server.returned.includes('upgraded') && world.server.phase === 'joined'
  ]
  for (const [index, goal] of goals.entries()) {
    if (index === 1) {
      world.cluster.pods = [pod('web'), pod('mirror', { annotations: { 'kubernetes.io/config.mirror': 'x' } })]
      askFor(world, 'v1.36.3')
    }
    for (let done = false; !done;) {
      try {
        await settle(world, agent, goal)
        done = true
      } catch (error) {
        if (!(error instanceof Crash)) throw error
        deaths += 1
        world.clock = new Date(world.clock.getTime() + 20_000)
        agent = await startAgent(world)
      }
    }
  }
  return deaths
}

function endOf({ cluster, server, root, log }: World): object {
  const keys = [...server.steps.keys()]
  return {
    node: { ...cluster.node?.metadata, annotations: Object.keys(cluster.node?.metadata.annotations ?? {}) },
    spec: cluster.node?.spec,
    version: cluster.node?.status?.nodeInfo?.kubeletVersion,
    pods: cluster.pods.map(({ metadata }) => metadata.name),
    slot: server.slot,
    phase: server.phase,
    run: readdirSync(join(root, 'run/slipway')),
    reported: keys.length === keys.at(-1),
    images: readdirSync(join(root, 'var/lib/slipway-agent/extensions')),
    applied: log.includes('kubeadm upgrade node')
  }
}

// Seconds on an idle machine; the machine may be busy.
t.setTimeout(110_000)

t.test('a life without a crash', { timeout: 110_000 }, async t => {
  const root = newRoot()
  const world = createWorld(root)
  const counted: Record<Kind, number> = { 'after record': 0, 'inside record': 0, 'after command': 0 }
  for (const kind of ['after record', 'after command'] as const) {
    rmSync(root, { recursive: true })
    const counting = createWorld(root)
    const whole = mortal(counting, kind, Infinity)
    t.equal(await live(counting, whole), 0)
    counted[kind] = whole.events()
    Object.assign(world, counting)
  }
  counted['inside record'] = counted['after record']
  const want = endOf(world)
  rmSync(root, { recursive: true })
  t.match(want, { version: 'v1.36.3', pods: ['mirror'], slot: 'free', run: [], reported: true, applied: true })
  t.comment(counted)

  for (const [kind, count] of Object.entries(counted) as [Kind, number][]) {
    await t.test(`the same end with a crash ${kind}`, { timeout: 100_000 }, async t => {
      // Half a record is no record: every third of them is proof enough.
      for (let n = 1; n <= count; n += kind === 'inside record' ? 3 : 1) {
        const root = newRoot()
        try {
          const world = createWorld(root)
          const deaths = await live(world, mortal(world, kind, n))
          t.same(endOf(world), want, `${kind} ${n} of ${count}`)
          t.equal(deaths, 1)
        } finally {
          rmSync(root, { recursive: true })
        }
      }
    })
  }
})
