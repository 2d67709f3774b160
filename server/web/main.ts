// The page: who is logged in, the live lists, one machine's timeline beside them. Texts from hardware are only ever
// text nodes: nothing here makes HTML of a string.

import { h, render, type ComponentChild } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { AccessRole } from '../contract/api.ts'
import * as api from './api.ts'
import { MachineList } from './list.ts'
import { follow, nothingYet } from './live.ts'
import { Login } from './login.ts'
import { MachineView } from './machine.ts'
import { NodeList } from './nodes.ts'
import { NoticeList } from './notices.ts'

type Who = { kind: 'unknown' } | { kind: 'nobody'; message: string } | { kind: 'role'; role: AccessRole }

/** A link printed by the server carries a one-time code; it leaves the address bar at once. */
function takeCode(): string | null {
  const code = new URLSearchParams(location.hash.slice(1)).get('code')
  if (code !== null) history.replaceState(null, '', location.pathname)
  return code
}

function Page(): ComponentChild {
  const [who, setWho] = useState<Who>({ kind: 'unknown' })
  const enter = async (work: Promise<{ role: AccessRole }>, quietly: boolean): Promise<void> => {
    try {
      setWho({ kind: 'role', role: (await work).role })
    } catch (error) {
      setWho({ kind: 'nobody', message: quietly ? '' : messageOf(error) })
    }
  }
  useEffect(() => {
    const code = takeCode()
    void enter(code === null ? api.session() : api.login(code), code === null)
  }, [])
  if (who.kind === 'unknown') return h('p', { class: 'quiet' }, 'One moment…')
  if (who.kind === 'nobody')
    return h(Login, { message: who.message, enter: code => void enter(api.login(code), false) })
  return h(Fleet, { role: who.role, leave: message => setWho({ kind: 'nobody', message }) })
}

function Fleet({ role, leave }: { role: AccessRole; leave: (message: string) => void }): ComponentChild {
  const [picture, setPicture] = useState(nothingYet)
  const [profiles, setProfiles] = useState<string[]>([])
  const [chosen, setChosen] = useState<string | null>(null)
  const [notice, setNotice] = useState<{ bad: boolean; text: string } | null>(null)
  const [now, setNow] = useState(Date.now())
  useEffect(() => {
    const failed = (error: unknown): void => {
      if (error instanceof api.Refused && error.status === 401) leave('Your session has ended.')
    }
    api.profiles().then(list => setProfiles(list.map(({ metadata }) => metadata.name)), failed)
    const clock = setInterval(() => setNow(Date.now()), 1000)
    const end = follow(setPicture, failed)
    return () => {
      clearInterval(clock)
      end()
    }
  }, [])
  const attempt = (what: string, work: Promise<unknown>): void => {
    work.then(
      () => setNotice({ bad: false, text: what }),
      error => setNotice({ bad: true, text: messageOf(error) })
    )
  }
  const mayAct = role !== 'viewer'
  const machine = picture.machines.find(({ id }) => id === chosen) ?? null
  return h(
    'div',
    { class: machine === null ? 'fleet' : 'fleet with-detail' },
    h(Header, {
      role,
      connected: picture.connected,
      leave: () =>
        void api.logout().then(
          () => leave(''),
          () => leave('')
        )
    }),
    h('p', { class: notice?.bad === true ? 'notice bad' : 'notice', role: 'status' }, notice?.text ?? ''),
    h(
      'main',
      null,
      h(NoticeList, { notices: picture.notices, now }),
      h(MachineList, { machines: picture.machines, profiles, chosen, choose: setChosen, mayAct, attempt, now }),
      h(NodeList, { nodes: picture.nodes, mayAct, attempt })
    ),
    machine === null
      ? null
      : h(MachineView, { machine, events: picture.events, now, close: () => setChosen(null), key: machine.id })
  )
}

function Header({
  role,
  connected,
  leave
}: {
  role: AccessRole
  connected: boolean
  leave: () => void
}): ComponentChild {
  return h(
    'header',
    null,
    h('h1', null, h('img', { src: '/web/icon.svg', alt: '', width: 28, height: 28 }), 'Slipway'),
    h('span', { class: connected ? 'link on' : 'link off', role: 'status' }, connected ? 'live' : 'connecting…'),
    h('span', { class: 'who' }, role),
    h('button', { type: 'button', class: 'plain', onClick: leave }, 'Log out')
  )
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

render(h(Page, null), document.getElementById('page')!)
