// A machine's timeline as a story to compare: the types in order, runs of DHCP as one word, what the agent did by name.
// Left out: what may come any number of times in between, such as a lease that is renewed.

import type { TimelineEvent } from '../../server/contract/event.ts'

export function storyOf(events: readonly TimelineEvent[]): string[] {
  const words = events.map(wordOf)
  return words.filter((word, i) => word !== words[i - 1])
}

function wordOf({ type, message, detail }: TimelineEvent): string {
  if (type.startsWith('dhcp.')) return 'dhcp'
  if (type === 'tftp.sent') return `tftp ${String(detail.name)}`
  if (type === 'agent.step') return message.replace(/:.*/, '')
  return type
}

const installed: string[] = []

export const wantedStory: Record<'bios' | 'uefi', string[]> = { bios: installed, uefi: installed }

/** For failure output: one line an event. */
export function show(events: readonly TimelineEvent[]): string {
  return events.map(({ at, type, message }) => `${at.slice(11, 23)} ${type} ${message}`).join('\n')
}
