// HTTP as a machine's firmware and installer speak it: one GET or POST from the machine's own address, no redirects followed,
// nothing kept open. Left out: TLS (the agent does that itself).

import { request } from 'node:http'

export interface Got {
  readonly status: number
  readonly body: Buffer
}

/** The largest thing a simulated machine loads is a placeholder of some kilobytes. */
const BODY_BYTES_MAX = 16 * 1024 * 1024

export interface From {
  /** The leased address, or the loopback default of a program that has none. */
  readonly address: string
  readonly userAgent: string
  readonly headers?: Readonly<Record<string, string>>
  /** With one, the request is a POST. */
  readonly body?: string
  readonly signal: AbortSignal
}

/** Rejects when nothing answers within ten seconds, as firmware gives up. */
export async function get(url: string, { address, userAgent, headers = {}, body, signal }: From): Promise<Got> {
  return await new Promise((resolve, reject) => {
    const asked = request(url, {
      agent: false,
      method: body === undefined ? 'GET' : 'POST',
      localAddress: address,
      headers: { ...headers, 'user-agent': userAgent, accept: '*/*' },
      signal: AbortSignal.any([signal, AbortSignal.timeout(10_000)])
    })
    asked.on('error', reject)
    asked.on('response', reply => {
      const chunks: Buffer[] = []
      let bytes = 0
      reply.on('error', reject)
      reply.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        chunks.push(chunk)
        if (bytes > BODY_BYTES_MAX) asked.destroy(new Error(`${url}: larger than ${BODY_BYTES_MAX} bytes`))
      })
      reply.on('end', () => resolve({ status: reply.statusCode ?? 0, body: Buffer.concat(chunks) }))
    })
    asked.end(body)
  })
}

/** How a client asks again: how often at most, how long it waits before, and which failures it takes for passing. */
export interface Patience {
  readonly attempts: number
  readonly waitMs: (attempt: number) => number
  /** answers: 5xx alone, as curl --retry does; all: refused and broken connections as well. */
  readonly retries: 'answers' | 'all'
}

/** Ignition never ends asking, installers do so rarely: some ten seconds, in which the server may be started anew. */
export const patient: Patience = { attempts: 60, waitMs: attempt => Math.min(100 * attempt, 500), retries: 'all' }

/** Asks until there is an answer that is no passing trouble; rejects when patience is over. */
export async function getAnswer(url: string, from: From, { attempts, waitMs, retries }: Patience): Promise<Got> {
  for (let attempt = 1; ; attempt += 1) {
    const got = await get(url, from).catch((error: Error) => error)
    from.signal.throwIfAborted()
    const failed = got instanceof Error
    if (!failed && got.status < 500) return got
    if (attempt > attempts || (failed && retries === 'answers')) {
      throw new Error(`${url}: ${failed ? got.message : `HTTP ${got.status}`}`)
    }
    await pause(waitMs(attempt), from.signal)
  }
}

/** The body of a 200; anything else is an error. */
export async function getAgain(url: string, from: From, patience: Patience): Promise<Buffer> {
  const { status, body } = await getAnswer(url, from, patience)
  if (status !== 200) throw new Error(`${url}: HTTP ${status}`)
  return body
}

export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(finish, ms)
    signal.addEventListener('abort', finish, { once: true })
    function finish(): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', finish)
      if (signal.aborted) reject(signal.reason as Error)
      else resolve()
    }
  })
}
