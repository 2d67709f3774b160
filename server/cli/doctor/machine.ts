// Reads a machine's timeline as an experienced operator would: how far did it come, and what stands between that and
// the next step?

import type { TimelineEvent } from '../../contract/event.ts'
import type { Machine } from '../../contract/machine.ts'
import type { Server } from '../connect.ts'
import { Failure } from '../failure.ts'
import { bad, type Finding, ok } from './finding.ts'

const EVENTS_READ = 1_000

export async function examineMachine(server: Server, ref: string): Promise<Finding[]> {
  const about = `machine ${ref}`
  try {
    const machine = await server.get<Machine>(`/api/v1/machines/${encodeURIComponent(ref)}`)
    const path = `/api/v1/events?machine=${machine.id}&limit=${EVENTS_READ}`
    return [...diagnose(machine, await server.get<TimelineEvent[]>(path))].map(({ verdict, message }) => ({
      verdict,
      about,
      message
    }))
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return [bad(about, `${error.message}; if it should be known: does its DISCOVER arrive here (same network, relay)?`)]
  }
}

/** The cause as far as the timeline tells it, then what to do. Pure. */
export function diagnose(machine: Machine, events: readonly TimelineEvent[]): Finding[] {
  const name = machine.name ?? machine.id
  if (machine.state === 'ready') return [ok(name, `is ready since ${machine.since}`)]
  const stage = stages.findLast(({ type }) => events.some(event => event.type === type))
  const warning = events.findLast(({ level }) => level === 'warning')
  const findings = [bad(name, `is ${machine.state}${machine.reason === null ? '' : `: ${machine.reason}`}`)]
  if (resting.has(machine.state)) {
    return [ok(name, `is ${machine.state}${machine.reason === null ? '' : `: ${machine.reason}`}; ${machine.next}`)]
  }
  if (stage !== undefined) findings.push(bad(name, `it came as far as ${stage.reached}; ${stage.missing}`))
  if (warning !== undefined) findings.push(bad(name, `last warning, ${warning.at}: ${warning.message}`))
  findings.push(bad(name, `what next: ${machine.next}`))
  return findings
}

const resting = new Set(['ignored', 'retired'])

/** In the order of a boot. */
const stages = [
  {
    type: 'dhcp.discover',
    reached: 'asking for an address',
    missing: 'it was offered none: look at dhcp.mode and subnets, and for dhcp.ignore on its timeline'
  },
  {
    type: 'dhcp.offer',
    reached: 'an offer',
    missing: 'it did not take it: another DHCP server may have been faster, or the offer did not arrive'
  },
  {
    type: 'dhcp.ack',
    reached: 'an address',
    missing: 'it did not fetch a boot program: is UDP 69 open, with every port above 1024 for the transfer?'
  },
  {
    type: 'tftp.sent',
    reached: 'our boot program',
    missing: 'it did not ask for its script: is the boot port open to it, and boot.url right?'
  },
  { type: 'boot.hold', reached: 'its boot screen, where it waits', missing: 'its reason says for what' },
  {
    type: 'boot.script',
    reached: 'the installer’s script',
    missing: 'it did not read its config: kernel and initrd may not load (memory, network), look at its console'
  },
  {
    type: 'config.delivered',
    reached: 'its config',
    missing: 'its agent did not enrol: the installation may have failed, or the machine cannot reach the control port'
  },
  {
    type: 'boot.booted',
    reached: 'its running installer',
    missing: 'its agent did not enrol: look at its console, and whether the control port is open to it'
  },
  {
    type: 'machine.enrolled',
    reached: 'enrolment',
    missing: 'it did not join: look at its agent’s steps, and whether the API server is reachable from it'
  },
  { type: 'machine.ready', reached: 'being ready', missing: 'something happened after that' }
]
