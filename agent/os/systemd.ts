// The few things asked of systemd. systemctl's failures become faults with what it said.

import { Fault } from '../fault.ts'
import { type Run, tail } from '../run.ts'

const second = 1000

/** Reads units again: an extension that was merged or left brings and takes some. */
export async function reloadUnits(run: Run, signal: AbortSignal): Promise<void> {
  await systemctl(run, ['daemon-reload'], 60 * second, signal)
}

/** Starts a unit at every boot, from the next one on. */
export async function enableUnit(run: Run, unit: string, signal: AbortSignal): Promise<void> {
  await systemctl(run, ['enable', unit], 60 * second, signal)
}

/** Starts a unit now and at every boot. */
export async function startUnit(run: Run, unit: string, signal: AbortSignal): Promise<void> {
  await systemctl(run, ['enable', '--now', unit], 120 * second, signal)
}

export async function restartUnit(run: Run, unit: string, signal: AbortSignal): Promise<void> {
  await systemctl(run, ['restart', unit], 120 * second, signal)
}

/** The process of a running unit; null when there is none. */
export async function findMainPid(run: Run, unit: string, signal: AbortSignal): Promise<number | null> {
  const ran = await run('systemctl', ['show', '-p', 'MainPID', '--value', unit], { timeoutMs: 10 * second, signal })
  const pid = Number(ran.stdout.trim())
  return Number.isSafeInteger(pid) && pid > 0 ? pid : null
}

async function systemctl(run: Run, args: readonly string[], timeoutMs: number, signal: AbortSignal): Promise<void> {
  const ran = await run('systemctl', args, { timeoutMs, signal })
  if (ran.exitCode !== 0) throw new Fault(`systemctl ${args.join(' ')} failed: ${tail(ran.stderr)}`)
}
