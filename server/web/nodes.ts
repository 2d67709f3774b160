// The nodes that machines have become, and the label that asks one for a version.

import { h, type ComponentChild } from 'preact'
import { useState } from 'preact/hooks'
import type { NodeView } from '../contract/api.ts'
import * as api from './api.ts'

interface Props {
  nodes: readonly NodeView[]
  mayAct: boolean
  attempt: (what: string, work: Promise<unknown>) => void
}

const columns = ['Node', 'Ready', 'Version', 'Asked for', 'State', 'Why and what next', 'Label slipway.dev/version']

export function NodeList({ nodes, mayAct, attempt }: Props): ComponentChild {
  return h(
    'section',
    { 'aria-labelledby': 'nodes' },
    h('h2', { id: 'nodes' }, 'Nodes'),
    nodes.length === 0
      ? h('p', { class: 'quiet' }, 'None yet. A machine becomes a node when its agent has joined the cluster.')
      : h(
          'div',
          { class: 'scroll' },
          h(
            'table',
            null,
            h('thead', null, h('tr', null, ...columns.map(name => h('th', { scope: 'col' }, name)))),
            h('tbody', null, ...nodes.map(node => h(Row, { node, mayAct, attempt, key: node.name })))
          )
        )
  )
}

function Row({ node, mayAct, attempt }: Omit<Props, 'nodes'> & { node: NodeView }): ComponentChild {
  const { name, ready, version, asked, state, reason, next, unschedulable } = node
  return h(
    'tr',
    { 'data-node': name },
    h('th', { scope: 'row' }, name),
    h('td', null, h('span', { class: ready ? 'state ready' : 'state failed' }, ready ? 'Ready' : 'not ready')),
    h('td', null, version ?? '—'),
    h('td', null, asked ?? '—'),
    h('td', null, state ?? '', unschedulable ? h('small', null, 'cordoned') : null),
    h('td', { class: 'why' }, [reason, next].filter(text => text !== null).join('; ')),
    h('td', null, mayAct ? h(Relabel, { node, attempt }) : null)
  )
}

function Relabel({ node, attempt }: Pick<Props, 'attempt'> & { node: NodeView }): ComponentChild {
  const [version, setVersion] = useState(node.asked ?? node.version ?? '')
  const submit = (event: Event): void => {
    event.preventDefault()
    attempt(`${node.name}: asked for ${version}.`, api.relabel(node.name, version.trim()))
  }
  return h(
    'form',
    { class: 'relabel', onSubmit: submit },
    h('input', {
      'aria-label': `Version for ${node.name}`,
      placeholder: 'v1.36.3',
      pattern: 'v1\\.[0-9]{1,3}\\.[0-9]{1,3}',
      required: true,
      size: 9,
      value: version,
      onInput: (event: Event) => setVersion((event.target as HTMLInputElement).value)
    }),
    h('button', { type: 'submit', 'aria-label': `relabel ${node.name}` }, 'relabel')
  )
}
