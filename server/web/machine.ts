// One machine: what it says of itself, and its whole timeline from the first DISCOVER on.

import { h, type ComponentChild } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { TimelineEvent } from '../contract/event.ts'
import type { Machine } from '../contract/machine.ts'
import * as api from './api.ts'
import { clock } from './words.ts'

interface Props {
  machine: Machine
  /** What arrived since the page was opened; a new line of this machine makes the timeline be read again. */
  events: readonly TimelineEvent[]
  now: number
  close: () => void
}

export function MachineView({ machine, events, now, close }: Props): ComponentChild {
  const [lines, setLines] = useState<readonly TimelineEvent[]>([])
  const [problem, setProblem] = useState('')
  const isOurs = ({ machine: id, mac }: TimelineEvent) => id === machine.id || machine.macs.includes(mac ?? '')
  const last = events.findLast(isOurs)?.id ?? 0
  useEffect(() => {
    api.timeline(machine.id).then(setLines, error => setProblem(String(error.message)))
  }, [machine.id, last])
  return h(
    'aside',
    { class: 'detail', 'aria-label': `Machine ${machine.name ?? machine.id}` },
    h(
      'div',
      { class: 'title' },
      h('h2', null, machine.name ?? machine.id),
      h('span', { class: `state ${machine.state}` }, machine.state),
      h('button', { type: 'button', class: 'plain', onClick: close, 'aria-label': 'Close' }, '✕')
    ),
    h(Facts, { machine }),
    h('h3', null, 'Timeline'),
    problem === '' ? null : h('p', { class: 'notice bad', role: 'alert' }, problem),
    h(
      'ol',
      { class: 'timeline' },
      ...lines.map(({ id, at, type, level, message }) =>
        h(
          'li',
          { key: id, class: level },
          h('time', { dateTime: at }, clock(at, now)),
          h('code', null, type),
          h('span', null, message)
        )
      )
    )
  )
}

function Facts({ machine }: { machine: Machine }): ComponentChild {
  const { id, macs, hardware, profile, rule, address, switchPort, position, version, reason, next } = machine
  const facts: Array<[string, string | null]> = [
    ['why', reason],
    ['what next', next],
    ['id', id],
    ['MACs', macs.join(', ')],
    ['address', address],
    ['position', position],
    ['switch port', switchPort && `${switchPort.switch}/${switchPort.port}`],
    ['profile', profile],
    ['rule', rule],
    ['kubelet', version],
    ...Object.entries(hardware)
  ]
  return h(
    'dl',
    { class: 'facts' },
    ...facts.flatMap(([name, value]) => (value === null ? [] : [h('dt', null, name), h('dd', null, value)]))
  )
}
