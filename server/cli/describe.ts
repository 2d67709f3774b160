// slipway describe: one machine or node as a page: what, since when, why, what next; then its timeline.

import { Argument, type Command, Option } from 'commander'
import type { NodeView } from '../contract/api.ts'
import type { TimelineEvent } from '../contract/event.ts'
import type { Machine } from '../contract/machine.ts'
import { connect, type Server, type ServerOptions } from './connect.ts'
import { age, paint, plainText } from './table.ts'

const EVENTS_SHOWN = 100

export function addDescribe(program: Command): void {
  program
    .command('describe')
    .description('one machine or node: what, since when, why, what next, and its timeline')
    .addArgument(new Argument('<kind>').choices(['machine', 'node']))
    .argument('<name>', 'a machine by id, name or MAC; a node by name')
    .addOption(new Option('-o, --output <format>').choices(['json']))
    .action(async (kind: 'machine' | 'node', name: string, _options, command: Command) => {
      const options = command.optsWithGlobals<ServerOptions & { output?: 'json' }>()
      const found = await read(await connect(options), kind, name)
      const { node, machine, events } = found
      const lines = [
        ...(node === null ? [] : aboutNode(node)),
        ...(machine === null ? [] : aboutMachine(machine, events))
      ]
      process.stdout.write(`${options.output === 'json' ? JSON.stringify(found, null, 2) : lines.join('\n')}\n`)
    })
}

interface Found {
  /** Null when a machine was asked for. */
  readonly node: NodeView | null
  /** Null for a node that did not come from here. */
  readonly machine: Machine | null
  readonly events: readonly TimelineEvent[]
}

async function read(server: Server, kind: 'machine' | 'node', name: string): Promise<Found> {
  const path = encodeURIComponent(name)
  const node = kind === 'node' ? await server.get<NodeView>(`/api/v1/nodes/${path}`) : null
  const ref = node === null ? path : node.machine
  if (ref === null) return { node, machine: null, events: [] }
  const machine = await server.get<Machine>(`/api/v1/machines/${ref}`)
  const events = await server.get<TimelineEvent[]>(`/api/v1/events?machine=${machine.id}&limit=${EVENTS_SHOWN}`)
  return { node, machine, events }
}

function aboutNode(node: NodeView): string[] {
  return pairs([
    ['Node', node.name],
    ['Ready', node.ready ? 'yes' : 'no'],
    ['Version', node.version],
    ['Asked for', node.asked],
    ['State', node.state],
    ['Why', node.reason],
    ['What next', node.next],
    ['Cordoned', node.unschedulable ? 'yes' : null]
  ])
}

function aboutMachine(machine: Machine, events: readonly TimelineEvent[]): string[] {
  const { hardware } = machine
  return [
    ...pairs([
      ['Machine', machine.name ?? machine.id],
      ['Id', machine.id],
      ['State', machine.state],
      ['Since', `${machine.since} (${age(machine.since, Date.now())})`],
      ['Why', machine.reason],
      ['What next', machine.next],
      ['Armed', machine.armed ? `one installation${machine.wipe ? ', may erase disks' : ''}` : null],
      ['Profile', machine.profile],
      ['Rule', machine.rule],
      ['Address', machine.address],
      ['Position', machine.position],
      ['Switch port', showSwitchPort(machine)],
      ['Kubelet', machine.version],
      ['MACs', machine.macs.join(', ')],
      ...Object.entries(hardware).map(([key, value]): [string, string | null] => [key, value])
    ]),
    '',
    `Timeline (${events.length} lines):`,
    ...events.map(showEvent)
  ]
}

function showSwitchPort({ switchPort: plug }: Machine): string | null {
  return plug && `${plug.switch}/${plug.port}: ${plug.mac}, by relay ${plug.relay}, since ${plug.at}`
}

/** One line of a timeline, for a terminal. */
function showEvent({ at, type, level, message }: TimelineEvent): string {
  const text = `  ${at}  ${type.padEnd(20)}  ${plainText(message).replaceAll('\n', ' ')}`
  return level === 'warning' ? paint('yellow', text, process.stdout) : text
}

function pairs(list: ReadonlyArray<readonly [string, string | null]>): string[] {
  return list.flatMap(([name, value]) =>
    value === null ? [] : [`${`${name}:`.padEnd(14)} ${plainText(value).replaceAll('\n', ' ')}`]
  )
}
