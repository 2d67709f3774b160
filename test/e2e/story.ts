// A machine's timeline as a story to compare: the types in order, runs of DHCP as one word, what the agent did by name.
// Left out: what may come any number of times in between, such as a lease that is renewed.

import type { TimelineEvent } from '../../server/contract/event.ts'

export function storyOf(events: readonly TimelineEvent[]): string[] {
  const words = events.filter(({ type }) => type !== 'machine.ready').map(wordOf)
  return words.filter((word, i) => word !== words[i - 1])
}

function wordOf({ type, message, detail }: TimelineEvent): string {
  if (type.startsWith('dhcp.')) return 'dhcp'
  if (type === 'tftp.sent') return `tftp ${String(detail.name)}`
  if (type === 'agent.step') return message.replace(/:.*/, '')
  return type
}

/** From power-on to Ready. That the node is Ready may be seen before or after its agent has labelled it: the test looks for that by itself. */
function wanted(program: string): string[] {
  return [
    'dhcp',
    `tftp ${program}`,
    'dhcp', // of the iPXE that it was given
    'machine.discovered',
    'machine.matched',
    'boot.hold',
    'machine.approved',
    'boot.script',
    'machine.installing',
    'config.delivered',
    'certificate.issued', // of this boot
    'dhcp', // the installed machine netboots again
    `tftp ${program}`,
    'dhcp',
    'boot.local',
    'machine.enrolled',
    'certificate.issued', // of the machine
    'enrol begin',
    'enrol end',
    'fetch begin',
    'fetch end',
    'merge begin',
    'merge end',
    'join begin',
    'join.token',
    'join.csr-approved',
    'join note',
    'join end',
    'label begin',
    'label end'
  ]
}

export const wantedStory = { bios: wanted('undionly.kpxe'), uefi: wanted('snponly.efi') }

/** For failure output: one line an event. */
export function show(events: readonly TimelineEvent[]): string {
  return events.map(({ at, type, message }) => `${at.slice(11, 23)} ${type} ${message}`).join('\n')
}
