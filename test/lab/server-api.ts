// What the lab asks of the server, through the same API as anybody: as administrator, over the lab's plain listener.

import { request } from 'node:http'
import type { TimelineEvent } from '../../server/contract/event.ts'
import type { Machine } from '../../server/contract/machine.ts'

export interface ServerApi {
  readonly machines: () => Promise<readonly Machine[]>
  readonly timeline: (machine: string) => Promise<readonly TimelineEvent[]>
  leases(): Promise<readonly { address: string; mac: string; state: string }[]>
  readonly apply: (documents: readonly unknown[]) => Promise<void>
  readonly approve: (machine: string) => Promise<void>
}

export function createServerApi(access: () => { url: string; token: string }, signal: AbortSignal): ServerApi {
  const ask = async (method: string, path: string, body: unknown = null): Promise<unknown> => {
    const { url, token } = access()
    return await send(new URL(path, url), method, token, body, signal)
  }
  return {
    machines: async () => (await ask('GET', '/api/v1/machines')) as Machine[],
    timeline: async machine =>
      (await ask('GET', `/api/v1/events?machine=${encodeURIComponent(machine)}&limit=1000`)) as TimelineEvent[],
    leases: async () => (await ask('GET', '/api/v1/leases')) as { address: string; mac: string; state: string }[],
    apply: async documents => {
      await ask('POST', '/api/v1/apply', documents)
    },
    approve: async machine => {
      await ask('POST', `/api/v1/machines/${encodeURIComponent(machine)}/approve`, {})
    }
  }
}

const TIMEOUT_MS = 10_000
const BODY_BYTES_MAX = 32 * 1024 * 1024

async function send(url: URL, method: string, token: string, body: unknown, signal: AbortSignal): Promise<unknown> {
  const payload = body === null ? null : JSON.stringify(body)
  const both = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)])
  const headers = {
    authorization: `Bearer ${token}`,
    ...(payload !== null && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) })
  }
  const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
    const asked = request(url, { method, headers, agent: false, signal: both })
    asked.on('error', reject)
    asked.on('response', reply => {
      let text = ''
      reply.setEncoding('utf8').on('error', reject)
      reply.on('data', (chunk: string) => {
        text += chunk
        if (text.length > BODY_BYTES_MAX) asked.destroy(new Error('the reply is too large'))
      })
      reply.on('end', () => resolve({ status: reply.statusCode ?? 0, text }))
    })
    asked.end(payload)
  })
  if (status >= 300) throw new Error(`${method} ${url.pathname}: ${status} ${text.slice(0, 1_000)}`)
  return text === '' ? null : (JSON.parse(text) as unknown)
}
