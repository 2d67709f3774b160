// Talks to the server's API with the session's cookie. Every failure becomes an Error whose message is the server's
// own.

import type { NodeView, Session } from '../contract/api.ts'
import type { TimelineEvent } from '../contract/event.ts'
import type { Machine } from '../contract/machine.ts'
import type { Notice } from '../contract/network.ts'
import type { Action } from './words.ts'

export class Refused extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const init: RequestInit = { method, credentials: 'same-origin' }
  if (body !== undefined) {
    init.body = JSON.stringify(body)
    init.headers = { 'content-type': 'application/json' }
  }
  const response = await fetch(`/api/v1${path}`, init)
  const text = await response.text()
  if (!response.ok) throw new Refused(response.status, detailOf(text) ?? `${response.status} ${response.statusText}`)
  return JSON.parse(text) as T
}

function detailOf(text: string): string | null {
  try {
    const detail: unknown = JSON.parse(text).detail
    return typeof detail === 'string' ? detail : null
  } catch {
    return null // not a problem document: the status line says what is known
  }
}

export const login = (code: string) => call<Session>('POST', '/session', { code })
export const session = () => call<Session>('GET', '/session')
export const logout = () => call<object>('DELETE', '/session')
export const machines = () => call<Machine[]>('GET', '/machines')
export const nodes = () => call<NodeView[]>('GET', '/nodes')
export const notices = () => call<Notice[]>('GET', '/notices')
export const profiles = () => call<Array<{ metadata: { name: string } }>>('GET', '/profiles')
export const timeline = (machine: string) => call<TimelineEvent[]>('GET', `/events?machine=${machine}&limit=500`)
export const act = (machine: string, action: Action, body: object) =>
  call<Machine>('POST', `/machines/${machine}/${action}`, body)
export const relabel = (node: string, version: string) =>
  call<NodeView>('POST', `/nodes/${encodeURIComponent(node)}/version`, { version })
