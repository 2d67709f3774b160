// Watches the rack until a goal is reached: looks at the server's inventory and the cluster's nodes a few times a second,
// shows what changed, and does what an operator would: approves the machine that waits for it, relabels nodes.

import { createKubeClient } from '../../server/kubeapi/client.ts'
import { textCredentials } from '../../server/kubeapi/files.ts'
import type { KubeNode } from '../../server/kubeapi/objects.ts'
import { paths } from '../../server/kubeapi/paths.ts'
import { intent } from '../../server/contract/names.ts'
import type { Fleet, Member } from './fleet.ts'
import type { Lab } from './lab.ts'
import type { LabHooks } from './main.ts'
import { pause } from './rack/http.ts'
import type { Report } from './report.ts'
import { approvalNote } from './texts.ts'
import { isDone, isUpgraded } from './view.ts'

export interface FollowDeps {
  readonly lab: Lab
  readonly fleet: Fleet
  readonly report: Report
  readonly hooks: LabHooks
  readonly signal: AbortSignal
  /** How long a machine that needs an operator waits for one before the lab plays one. */
  readonly approveAfterMs: number
  /** Machines that were named as waiting. */
  readonly named: Set<string>
}

export interface Goal {
  readonly name: 'ready' | 'upgraded' | 'stay'
  readonly target: string | null
  /** Null: for ever. */
  readonly withinMs: number | null
}

/** What a test's hook may do. */
export interface LabControl {
  readonly lab: Lab
  readonly killServer: () => Promise<void>
  readonly killAgent: (machine: string) => void
}

const LOOK_MS = 250

/** Until each machine has reached the goal; the reasons why not, one a machine, when time is over. */
export async function follow(deps: FollowDeps, goal: Goal): Promise<string[]> {
  const { fleet, report, signal } = deps
  const start = performance.now()
  for (;;) {
    await look(deps)
    report.rows(fleet.rows())
    await approve(deps)
    const missing = fleet.members().filter(member => !reached(member, goal))
    if (missing.length === 0 && goal.name !== 'stay') {
      const seconds = Math.round((performance.now() - start) / 100) / 10
      const what = goal.target === null ? 'Ready' : `at ${goal.target}`
      report.note(`All ${fleet.members().length} machines are ${what} after ${seconds} s.`, {
        event: `lab.${goal.name}`,
        seconds
      })
      return []
    }
    if (goal.withinMs !== null && performance.now() - start > goal.withinMs) return await reasons(deps, missing, goal)
    await pause(LOOK_MS, signal)
  }
}

function reached({ machine, node }: Member, { target }: Goal): boolean {
  return target === null ? isDone(machine, node) : isUpgraded(machine, node, target)
}

/** The server may be away for a moment, when a test kills it: then what was known stays. */
async function look({ lab, fleet, hooks, signal }: FollowDeps): Promise<void> {
  const machines = await lab.api.machines().catch((error: unknown) => {
    signal.throwIfAborted()
    if (hooks.event === undefined) throw error
    return null
  })
  const nodes = (lab.rack.cluster.api?.store.list('nodes') ?? []) as unknown as readonly KubeNode[]
  if (machines !== null) fleet.update(machines, nodes)
  for (const { machine, stage } of fleet.rows()) hooks.event?.(`${machine} ${stage}`, control(lab))
}

function control(lab: Lab): LabControl {
  return {
    lab,
    killServer: async () => await lab.server.killAndRestart(),
    killAgent: name => {
      const machine = lab.rack.machines.find(({ spec }) => spec.name === name)
      machine?.agent()?.signal('SIGKILL')
    }
  }
}

/** A machine that needs an operator is named when it begins to wait; when none comes in time the lab plays one. */
async function approve({ lab, fleet, report, approveAfterMs, named, signal }: FollowDeps): Promise<void> {
  for (const { seen, machine } of fleet.members()) {
    if (machine?.state !== 'discovered' || seen.stage !== 'waiting') continue
    const { name, product } = seen.spec
    if (!named.has(name)) {
      named.add(name)
      const note = approvalNote(name, product, Math.round(approveAfterMs / 1000))
      report.note(note, { event: 'machine.waits', machine: name })
    }
    if (Date.now() - seen.since.getTime() < approveAfterMs) continue
    try {
      await lab.api.approve(machine.id)
      report.note(`${name} was approved by the lab, as an operator would.`, {
        event: 'machine.approved',
        machine: name
      })
    } catch {
      signal.throwIfAborted() // somebody was quicker, or the server is being restarted: the next look tells
    }
  }
}

/** The label that is the whole upgrade: on the control plane, and when that is done on all others at once. */
export async function relabel(deps: FollowDeps, target: string, goal: Goal): Promise<string[]> {
  const { lab, fleet, report } = deps
  const { api } = lab.rack.cluster
  if (api === null) return ['there is no cluster to upgrade']
  fleet.aim(target)
  const client = createKubeClient(await textCredentials(api.adminKubeconfig))
  try {
    const members = fleet.members()
    const first = members.filter(({ seen }) => seen.spec.role === 'control-plane')
    const rest = members.filter(({ seen }) => seen.spec.role === 'worker')
    for (const group of [first, rest]) {
      const names = group.flatMap(({ machine }) => machine?.name ?? [])
      for (const name of names) {
        await client.patch(paths.node(name), { metadata: { labels: { [intent.version]: target } } }, 'merge')
      }
      report.note(`kubectl label node ${names.join(' ')} ${intent.version}=${target}`, {
        event: 'lab.labelled',
        nodes: names,
        target
      })
      const numbers = new Set(group.map(({ seen }) => seen.spec.number))
      const failed = await followSome(deps, goal, numbers)
      if (failed.length > 0) return failed
    }
    return []
  } finally {
    client.close()
  }
}

async function followSome(deps: FollowDeps, goal: Goal, numbers: ReadonlySet<number>): Promise<string[]> {
  const { fleet } = deps
  const only: Fleet = {
    ...fleet,
    members: () => fleet.members().filter(({ seen }) => numbers.has(seen.spec.number))
  }
  return await follow({ ...deps, fleet: only }, goal)
}

/** Why a machine is not there yet: the ends of its timeline and of its console. */
async function reasons({ lab, fleet }: FollowDeps, missing: readonly Member[], goal: Goal): Promise<string[]> {
  const rows = new Map(fleet.rows().map(row => [row.machine, row]))
  return await Promise.all(
    missing.map(async ({ seen, machine }) => {
      const row = rows.get(seen.spec.name)!
      const events = machine === null ? [] : await lab.api.timeline(machine.id).catch(() => [])
      const timeline = events.slice(-8).map(({ at, type, message }) => `    ${at.slice(11, 19)} ${type}: ${message}`)
      const console = lab.rack.machines.find(({ spec }) => spec.name === seen.spec.name)?.lastLines() ?? []
      const lines = console.slice(-8).map(line => `    ${line}`)
      return [
        `${seen.spec.name} did not get ${goal.name}: ${row.stage}; next: ${row.next}`,
        ...(timeline.length > 0 ? ['  timeline:', ...timeline] : ['  the server has no timeline of it']),
        '  console:',
        ...lines
      ].join('\n')
    })
  )
}
