// slipway lab: the real server and a simulated rack, for whoever wants to see it work. Called by server/cli; this is
// the only file that knows about signals and exit codes.
//
// Exit: 0 all Ready (and upgraded), 1 not, with the reasons; 130 ended by Ctrl-C, a signal or a closed terminal.

import { Fault } from '../../server/core/fault.ts'
import { follow, type Goal, type LabControl, relabel } from './follow.ts'
import { type Lab, prepareLab } from './lab.ts'
import { createReport, type LabIo, type Report } from './report.ts'
import { loginUrl, nextSteps, simulated } from './texts.ts'
import { VERSION_UPGRADED } from './documents.ts'
import { type Fleet, createFleet } from './fleet.ts'

export interface LabOptions {
  readonly machines: number
  /** End when all is done instead of staying. */
  readonly once: boolean
  readonly json: boolean
  /** Go on to relabel every node, control plane first. */
  readonly upgrade: boolean
  /** Leave the folder there. */
  readonly keep?: boolean
}

/** For tests: is told each machine's stage again and again, and may kill what runs. */
export interface LabHooks {
  readonly event?: (event: string, lab: LabControl) => void
}

const MACHINES_MAX = 200
/** Measured at about 20 s on two cores; a busy computer may need several times that. */
const READY_MS = 120_000
const UPGRADED_MS = 180_000
const PER_MACHINE_MS = 15_000

export async function runLab(options: LabOptions, io: LabIo, hooks: LabHooks = {}): Promise<number> {
  const { machines } = options
  if (!Number.isSafeInteger(machines) || machines < 1 || machines > MACHINES_MAX) {
    throw new Fault('invalid', `--machines must be a number from 1 to ${MACHINES_MAX}`)
  }
  const ending = new AbortController()
  const forget = onSignals(() => ending.abort(new Interrupted()))
  const now = (): Date => new Date()
  const report = createReport(io, options.json ? 'json' : 'text', now)
  const fleet: Fleet = createFleet(machines, now, () => report.rows(fleet.rows()))
  const opening = prepareLab({
    machines,
    keep: options.keep === true ? 'keep' : 'remove',
    signal: ending.signal,
    stage: fleet.stage,
    addressed: fleet.addressed,
    failed: error => ending.abort(error)
  })
  let status = 1
  try {
    announce(report, options)
    const lab = await opening.open()
    status = await run(options, lab, fleet, report, hooks, ending.signal)
  } catch (error) {
    status = explain(report, ending.signal.aborted ? ending.signal.reason : error)
  } finally {
    // Only a lab that did what it was asked for ends its server in order: that must work, too.
    const { serverStatus } = await opening.close(status === 0 ? 'in order' : 'at once')
    if (status === 0 && serverStatus !== 0) {
      status = explain(
        report,
        new Fault('unavailable', `the server did not end well: status ${serverStatus ?? 'none, it was killed'}`)
      )
    }
    forget()
  }
  const kept = options.keep === true ? `the files are in ${opening.folder()?.path}` : 'its files are removed'
  report.note(`The lab has ended; ${kept}.`, { event: 'lab.ended', status })
  return status
}

class Interrupted extends Error {
  override readonly name = 'Interrupted'
}

/** Handlers stay until all is closed: a second Ctrl-C must not leave processes behind. */
function onSignals(end: () => void): () => void {
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const name of names) process.on(name, end)
  // Who read our output is gone (EPIPE): nobody is left to show anything to.
  process.stdout.on('error', end)
  return () => {
    for (const name of names) process.off(name, end)
    process.stdout.off('error', end)
  }
}

function explain(report: Report, error: unknown): number {
  report.settle()
  if (error instanceof Interrupted) {
    report.note('Stopped.', { event: 'lab.interrupted' })
    return 130
  }
  const message = error instanceof Error ? error.message : String(error)
  report.note(`The lab failed: ${message}`, { event: 'lab.failed', reasons: [message] })
  // Anything but a refusal with its reason is a bug of the lab or of what it runs: whole, so that it can be found.
  if (error instanceof Error && !(error instanceof Fault) && error.stack !== undefined) {
    report.note(error.stack, { event: 'lab.bug', stack: error.stack })
  }
  return 1
}

function announce(report: Report, { machines }: LabOptions): void {
  report.note(`Slipway lab: a rack of ${machines} simulated machines, on loopback only.\n  ${simulated.join('\n  ')}`, {
    event: 'lab.simulated',
    machines,
    simulated
  })
}

async function run(
  options: LabOptions,
  lab: Lab,
  fleet: Fleet,
  report: Report,
  hooks: LabHooks,
  signal: AbortSignal
): Promise<number> {
  const { urls, code } = lab.server.ready
  const { path: folder, data } = lab.folder
  const access = { page: urls.page ?? urls.control, control: urls.control, code, folder, data }
  report.note(`Everything is below ${folder}. The page: ${loginUrl(access)}`, {
    event: 'lab.started',
    folder,
    urls,
    login: loginUrl(access)
  })
  const deps = {
    lab,
    fleet,
    report,
    hooks,
    signal,
    approveAfterMs: options.once ? 1_000 : 30_000,
    named: new Set<string>()
  }
  await lab.rack.powerOn()
  const extraMs = options.machines * PER_MACHINE_MS
  const goals: Goal[] = [{ name: 'ready', target: null, withinMs: READY_MS + extraMs }]
  if (options.upgrade) goals.push({ name: 'upgraded', target: VERSION_UPGRADED, withinMs: UPGRADED_MS + extraMs })
  for (const goal of goals) {
    const reasons = goal.target === null ? await follow(deps, goal) : await relabel(deps, goal.target, goal)
    if (reasons.length > 0) {
      report.settle()
      report.note(reasons.join('\n'), { event: 'lab.failed', reasons })
      if (options.once) return 1
    }
  }
  if (options.once) return 0
  report.settle()
  report.note(nextSteps(access, fleet.rows()), { event: 'lab.try', login: loginUrl(access) })
  await follow(deps, { name: 'stay', target: null, withinMs: null })
  return 0
}
