// The live list of machines: what, since when, why, what next; and what an operator may do about it.

import { h, type ComponentChild } from 'preact'
import { useState } from 'preact/hooks'
import type { Machine } from '../contract/machine.ts'
import * as api from './api.ts'
import { type Action, actionsOf, ago, questions } from './words.ts'

interface Props {
  machines: readonly Machine[]
  profiles: readonly string[]
  chosen: string | null
  choose: (id: string) => void
  mayAct: boolean
  attempt: (what: string, work: Promise<unknown>) => void
  now: number
}

/** Those that wait for a person come first. */
const order = [
  'failed',
  'discovered',
  'maintenance',
  'installing',
  'approved',
  'enrolled',
  'ready',
  'ignored',
  'retired'
]

export function MachineList(props: Props): ComponentChild {
  const { machines } = props
  const sorted = machines.toSorted(
    (a, b) => order.indexOf(a.state) - order.indexOf(b.state) || (nameOf(a) < nameOf(b) ? -1 : 1)
  )
  return h(
    'section',
    { 'aria-labelledby': 'machines' },
    h('h2', { id: 'machines' }, 'Machines'),
    h(Counts, { machines }),
    machines.length === 0
      ? h('p', { class: 'quiet' }, 'None yet. Power one on; it appears here by itself.')
      : h(
          'div',
          { class: 'scroll' },
          h(
            'table',
            null,
            h(
              'thead',
              null,
              h(
                'tr',
                null,
                ...columns.map(name => h('th', { scope: 'col', class: name === 'What next' ? 'next' : '' }, name))
              )
            ),
            h('tbody', null, ...sorted.map(machine => h(Row, { ...props, machine, key: machine.id })))
          )
        )
  )
}

const columns = ['Machine', 'Hardware', 'State', 'Since', 'Why', 'What next', 'Actions']

function Counts({ machines }: { machines: readonly Machine[] }): ComponentChild {
  const counted = order
    .map(state => [state, machines.filter(machine => machine.state === state).length] as const)
    .filter(([, count]) => count > 0)
  return h(
    'ul',
    { class: 'counts', 'aria-label': 'Machines by state' },
    ...counted.map(([state, count]) => h('li', { class: `state ${state}` }, `${count} ${state}`))
  )
}

function Row({
  machine,
  profiles,
  chosen,
  choose,
  mayAct,
  attempt,
  now
}: Props & { machine: Machine }): ComponentChild {
  const { id, name, state, since, reason, next, hardware, profile, version, armed } = machine
  const what = [hardware.manufacturer, hardware.product].filter(text => text !== null).join(' ')
  const where = [hardware.arch, hardware.platform].filter(text => text !== null).join(', ')
  return h(
    'tr',
    { class: chosen === id ? 'chosen' : '', 'data-machine': id },
    h(
      'th',
      { scope: 'row' },
      h(
        'button',
        { type: 'button', class: 'plain name', onClick: () => choose(id), 'aria-expanded': chosen === id },
        name ?? id
      ),
      h('small', null, machine.position ?? machine.macs[0] ?? '')
    ),
    h('td', { class: 'hardware' }, h('span', { title: what }, what === '' ? '—' : what), h('small', null, where)),
    h(
      'td',
      null,
      h('span', { class: `state ${state}` }, state),
      h('small', null, profile ?? '', version === null ? '' : ` ${version}`)
    ),
    h('td', { class: 'since' }, h('time', { dateTime: since }, ago(since, now))),
    h('td', { class: 'why' }, reason ?? (armed ? 'an installation is armed' : '')),
    h('td', { class: 'next' }, next),
    h('td', { class: 'actions' }, mayAct ? h(Actions, { machine, profiles, attempt }) : null)
  )
}

type ActionProps = Pick<Props, 'profiles' | 'attempt'> & { machine: Machine }

function Actions({ machine, profiles, attempt }: ActionProps): ComponentChild {
  const [profile, setProfile] = useState('')
  const asksProfile = machine.profile === null && (actionsOf[machine.state] ?? []).includes('approve')
  const run = (action: Action): void => {
    const question = questions[action]
    if (question !== null && !confirm(`${nameOf(machine)}: ${question}`)) return
    const body = action === 'approve' && profile !== '' ? { profile } : {}
    attempt(`${nameOf(machine)}: ${action} done.`, api.act(machine.id, action, body))
  }
  const choose = (event: Event): void => setProfile((event.target as HTMLSelectElement).value)
  return h(
    'div',
    { class: 'buttons' },
    asksProfile
      ? h(
          'select',
          { 'aria-label': `Profile for ${nameOf(machine)}`, value: profile, onChange: choose },
          h('option', { value: '' }, 'profile…'),
          ...profiles.map(name => h('option', { value: name }, name))
        )
      : null,
    ...(actionsOf[machine.state] ?? []).map(action =>
      h(
        'button',
        {
          type: 'button',
          class: action,
          disabled: action === 'approve' && asksProfile && profile === '',
          'aria-label': `${action} ${nameOf(machine)}`,
          onClick: () => run(action)
        },
        action
      )
    )
  )
}

function nameOf({ name, id }: Machine): string {
  return name ?? id
}
