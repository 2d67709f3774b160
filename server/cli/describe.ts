// slipway describe: one machine or node as a page: what, since when, why, what next; then its timeline.

import { Argument, type Command } from 'commander'
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
    .action(async (kind: string, name: string, _options, command: Command) => {
      const server = await connect(command.optsWithGlobals<ServerOptions>())
      const path = encodeURIComponent(name)
      const node = kind === 'node' ? await server.get<NodeView>(`/api/v1/nodes/${path}`) : null
      const ref = node === null ? path : node.machine
      const lines = node === null ? [] : aboutNode(node)
      if (ref !== null) lines.push(...(await aboutMachine(server, ref)))
      process.stdout.write(`${lines.join('\n')}\n`)
    })
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

async function aboutMachine(server: Server, ref: string): Promise<string[]> {
  const machine = await server.get<Machine>(`/api/v1/machines/${ref}`)
  const events = await server.get<TimelineEvent[]>(`/api/v1/events?machine=${machine.id}&limit=${EVENTS_SHOWN}`)
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
      ['Kubelet', machine.version],
      ['MACs', machine.macs.join(', ')],
      ...Object.entries(hardware).map(([key, value]): [string, string | null] => [key, value])
    ]),
    '',
    `Timeline (${events.length} lines):`,
    ...events.map(showEvent)
  ]
}

/** One line of a timeline, for a terminal. */
export function showEvent({ at, type, level, message }: TimelineEvent): string {
  const text = `  ${at}  ${type.padEnd(20)}  ${plainText(message).replaceAll('\n', ' ')}`
  return level === 'warning' ? paint('yellow', text, process.stdout) : text
}

function pairs(list: ReadonlyArray<readonly [string, string | null]>): string[] {
  return list.flatMap(([name, value]) =>
    value === null ? [] : [`${`${name}:`.padEnd(14)} ${plainText(value).replaceAll('\n', ' ')}`]
  )
}
