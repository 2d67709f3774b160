// What a person should know of now, above everything else: another DHCP server, a flood, nobody who gives addresses.
// The texts hold what was heard on the wire, and are only ever text nodes.

import { h, type ComponentChild } from 'preact'
import type { Notice } from '../contract/network.ts'
import { ago } from './words.ts'

const titles: Record<Notice['about'], string> = {
  rival: 'Another DHCP server',
  'no-addresses': 'No addresses',
  blind: 'Cannot look',
  flood: 'Flood of DHCP requests',
  address: 'Our address is gone'
}

export function NoticeList({ notices, now }: { notices: readonly Notice[]; now: number }): ComponentChild {
  if (notices.length === 0) return null
  return h(
    'section',
    { class: 'standing', 'aria-label': 'What to look at' },
    ...notices.map(({ about, level, message, since }) =>
      h(
        'p',
        { class: level, role: level === 'warning' ? 'alert' : 'note', key: `${about} ${message}` },
        h('strong', null, titles[about]),
        ' ',
        message,
        h('small', null, 'for ', h('time', { dateTime: since }, ago(since, now)))
      )
    )
  )
}
