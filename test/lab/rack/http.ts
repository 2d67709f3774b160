// HTTP as a machine's firmware and installer speak it: one GET from the machine's own address, no redirects followed,
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
  readonly signal: AbortSignal
}

/** Rejects when nothing answers within ten seconds, as firmware gives up. */
export async function get(url: string, { address, userAgent, headers = {}, signal }: From): Promise<Got> {
  return await new Promise((resolve, reject) => {
    const asked = request(url, {
      agent: false,
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
    asked.end()
  })
}

/** As curl --fail --retry 5 and Ignition do: what the server cannot give now (5xx, no answer) is asked for again. */
export async function getAgain(url: string, from: From, waitMs: (attempt: number) => number): Promise<Buffer> {
  for (let attempt = 1; ; attempt += 1) {
    const got = await get(url, from).catch((error: Error) => error)
    from.signal.throwIfAborted()
    if (!(got instanceof Error) && got.status === 200) return got.body
    const why = got instanceof Error ? got.message : `HTTP ${got.status}`
    const final = !(got instanceof Error) && got.status < 500
    if (final || attempt > ATTEMPTS_MAX) throw new Error(`${url}: ${why}`)
    await pause(waitMs(attempt), from.signal)
  }
}

/** With pauses of a fifth of a second that is some ten seconds: the server may be started anew meanwhile. */
const ATTEMPTS_MAX = 60

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
