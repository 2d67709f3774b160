// A blank machine's way to a Ready node, watched from outside: powered on, found unknown, approved by the command line,
// installed, booted from its disk, joined. Throws where it stops, with the timeline and the console; the assertions on
// what came out are the test's.

import type { Machine } from '../../server/contract/machine.ts'
import type { TimelineEvent } from '../../server/contract/event.ts'
import { type Firmware, type Guest, powerOn, tail } from '../lab/qemu.ts'
import { until } from './served.ts'
import type { Stage } from './stage.ts'
import { show } from './story.ts'

export interface Provisioned {
  readonly guest: Guest
  readonly name: string
  readonly id: string
  readonly address: string
  /** Seconds from power-on. */
  readonly seconds: Readonly<Record<string, number>>
}

const minute = 60_000
/** Several times what it takes alone: others may use the machine. */
const patience = { discovered: 3 * minute, installed: 8 * minute, enrolled: 6 * minute, ready: 8 * minute }

export async function provision(stage: Stage, firmware: Firmware, note: (line: string) => void): Promise<Provisioned> {
  const last = firmware === 'bios' ? '10' : '20'
  const guest = await powerOn(
    stage.namespace,
    {
      name: firmware,
      firmware,
      mac: `52:54:00:78:00:${last}`,
      uuid: `5afe0078-0000-4000-8000-5254007800${last}`,
      serial: `LAB-${firmware}`,
      folder: stage.folder
    },
    () => new Date()
  )
  const seconds: Record<string, number> = {}
  const mark = (what: string, at: Date): void => {
    seconds[what] = (at.getTime() - guest.poweredOn.getTime()) / 1000
    note(`${firmware}: ${what} ${seconds[what].toFixed(1)} s after power-on`)
  }
  try {
    const machine = await walk(stage, mark)
    return { guest, seconds, id: machine.id, name: machine.name ?? '', address: machine.address ?? '' }
  } catch (error) {
    const story = await explain(stage, guest)
    await guest.stop()
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n${story}`, { cause: error })
  }
}

async function walk(stage: Stage, mark: (what: string, at: Date) => void): Promise<Machine> {
  const held = await until('an unknown machine to be held', patience.discovered, async () => {
    const [machine] = await stage.machines()
    if (machine?.state !== 'discovered') return null
    const events = await stage.timeline(machine.id)
    return events.some(({ type }) => type === 'boot.hold')
      ? await stage.get<Machine>(`/api/v1/machines/${machine.id}`)
      : null
  })
  const name = held.name ?? held.id
  const first = await stage.timeline(held.id)
  mark('first DHCP', timeOf(first, 'dhcp.discover'))
  mark('first script', timeOf(first, 'machine.discovered'))

  const approved = await stage.slipway('approve', name)
  if (approved.exitCode !== 0) throw new Error(`slipway approve ${name}: ${approved.stderr}`)
  await happened(stage, held.id, 'config.delivered', patience.installed, mark)
  await happened(stage, held.id, 'boot.local', patience.installed, mark)
  await happened(stage, held.id, 'machine.enrolled', patience.enrolled, mark)
  await happened(stage, held.id, 'machine.ready', patience.ready, mark)
  await until('its labels', patience.ready, async () => {
    const events = await stage.timeline(held.id)
    return events.find(({ message }) => message.startsWith('label end')) ?? null
  })
  return stage.get<Machine>(`/api/v1/machines/${held.id}`)
}

async function happened(
  stage: Stage,
  machine: string,
  type: string,
  timeoutMs: number,
  mark: (what: string, at: Date) => void
): Promise<void> {
  const event = await until(type, timeoutMs, async () => {
    const events = await stage.timeline(machine)
    const failed = events.find(each => each.type === 'machine.failed' || each.type === 'config.alarm')
    if (failed !== undefined) throw new Error(`${failed.type}: ${failed.message}`)
    return events.findLast(each => each.type === type) ?? null
  })
  mark(type, new Date(event.at))
}

function timeOf(events: readonly TimelineEvent[], type: string): Date {
  const event = events.find(each => each.type === type)
  if (event === undefined) throw new Error(`no ${type} on the timeline`)
  return new Date(event.at)
}

/** What is known when it went wrong: the timeline, the console, the agent's journal if the guest can still say. */
export async function explain(stage: Stage, guest: Guest): Promise<string> {
  const parts: string[] = []
  for (const machine of await stage.machines()) {
    parts.push(`-- ${machine.id} ${machine.name ?? ''} is ${machine.state}: ${machine.reason ?? ''}`)
    parts.push(show(await stage.timeline(machine.id)))
    if (machine.address === null) continue
    const script = 'journalctl -b --no-pager -n 40 -u slipway-agent -u kubelet; systemctl --failed; df -h /; free -m'
    parts.push(`-- in the guest:\n${(await guest.shell(machine.address, script, 30_000)).output}`)
  }
  parts.push(`-- console:\n${tail(guest.console())}`)
  parts.push(`-- server:\n${stage.serverLog().split('\n').slice(-15).join('\n')}`)
  return parts.join('\n')
}
