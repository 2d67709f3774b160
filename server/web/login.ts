// The login: a one-time code that the server prints where it runs, or an access token.

import { h, type ComponentChild } from 'preact'
import { useState } from 'preact/hooks'

export function Login({ message, enter }: { message: string; enter: (code: string) => void }): ComponentChild {
  const [code, setCode] = useState('')
  const submit = (event: Event): void => {
    event.preventDefault()
    if (code.trim() !== '') enter(code.trim())
  }
  return h(
    'form',
    { class: 'login', onSubmit: submit },
    h('h1', null, h('img', { src: '/web/icon.svg', alt: '', width: 40, height: 40 }), 'Slipway'),
    h('label', { for: 'code' }, 'One-time code or access token'),
    h('input', {
      id: 'code',
      name: 'code',
      autocomplete: 'one-time-code',
      autofocus: true,
      spellcheck: false,
      value: code,
      onInput: (event: Event) => setCode((event.target as HTMLInputElement).value)
    }),
    h('button', { type: 'submit' }, 'Log in'),
    h('p', { class: 'notice bad', role: 'alert' }, message),
    h(
      'p',
      { class: 'quiet' },
      'The server prints a code when it is started in a terminal; it works once. An access token works as well.'
    )
  )
}
