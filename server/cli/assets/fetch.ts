// One file from a URL. Whatever is on the way, only bytes of the digest that was asked for are taken: a mirror, a proxy
// or a stolen certificate can give no machine anything else. It comes whole or not at all.

import { createHash } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { open, rm } from 'node:fs/promises'
import ipaddr from 'ipaddr.js'
import { Failure } from '../failure.ts'
import type { Progress } from './progress.ts'

export interface Wanted {
  readonly url: URL
  /** In hex, lower case. */
  readonly sha256: string
}

export interface Limits {
  readonly bytesMax: number
  /** Until the answer begins, and between two parts of it. */
  readonly silenceMs: number
}

/** A DVD image is 12 GB. */
export const limits: Limits = { bytesMax: 16 * 1024 ** 3, silenceMs: 60_000 }
const REDIRECTS_MAX = 5

/** The URL for a person or a record: without what may be a secret. */
export function shownUrl({ origin, pathname }: URL): string {
  return origin + pathname
}

/** Writes the file; throws a Failure that says what to do, and leaves nothing behind. */
export async function fetchTo(
  path: string,
  { url, sha256 }: Wanted,
  progress: Progress,
  bounds = limits
): Promise<void> {
  const silence = new AbortController()
  const wake = (): NodeJS.Timeout =>
    setTimeout(
      () => silence.abort(new Failure(`${shownUrl(url)}: nothing came for ${bounds.silenceMs / 1000} s`)),
      bounds.silenceMs
    )
  let timer = wake()
  const file = await open(path, 'wx', 0o600)
  try {
    const { body, headers } = await follow(url, silence.signal)
    const length = Number(headers.get('content-length') ?? Number.NaN)
    const tooLarge = new Failure(`${shownUrl(url)} is larger than ${Math.round(bounds.bytesMax / 1024 ** 2)} MiB`)
    if (length > bounds.bytesMax) throw tooLarge
    const hash = createHash('sha256')
    let size = 0
    for await (const chunk of body) {
      clearTimeout(timer)
      timer = wake()
      size += chunk.length
      if (size > bounds.bytesMax) throw tooLarge
      hash.update(chunk)
      await file.writeFile(chunk)
      progress.at(size, Number.isNaN(length) ? null : length)
    }
    const found = hash.digest('hex')
    if (found !== sha256) {
      const advice = 'nothing was imported; it may be a newer release, or somebody’s on the way'
      throw new Failure(`${shownUrl(url)} has the SHA-256 ${found}, not ${sha256}: ${advice}`)
    }
  } catch (error) {
    await rm(path, { force: true })
    throw explain(error, url, silence.signal)
  } finally {
    clearTimeout(timer)
    await file.close()
  }
}

/** Nothing of ours goes along: no credentials, no cookies. Each place is looked at before it is asked. */
async function follow(
  first: URL,
  signal: AbortSignal
): Promise<{ body: ReadableStream<Uint8Array>; headers: Headers }> {
  const nearby = await isNearby(first)
  let url = first
  for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
    const reply = await fetch(url, { redirect: 'manual', signal, headers: { 'accept-encoding': 'identity' } })
    if (reply.status === 200 && reply.body !== null) return { body: reply.body, headers: reply.headers }
    await reply.body?.cancel()
    const to = reply.headers.get('location')
    if (reply.status < 300 || reply.status > 399 || to === null) {
      throw new Failure(`${shownUrl(url)} answers with status ${reply.status}`)
    }
    const next = URL.canParse(to, url) ? new URL(to, url) : null
    const where = next === null ? 'what is no URL' : shownUrl(next)
    if (next === null || !isAllowed(next) || (url.protocol === 'https:' && next.protocol !== 'https:')) {
      throw new Failure(`${shownUrl(url)} redirects to ${where}: only https is followed from https`)
    }
    if (!nearby && (await isNearby(next))) {
      throw new Failure(`${shownUrl(url)} redirects to ${where}, which is this host or its own network: not followed`)
    }
    url = next
  }
  throw new Failure(`${shownUrl(first)} redirects more than ${REDIRECTS_MAX} times`)
}

export function isAllowed({ protocol, username, password }: URL): boolean {
  return (protocol === 'https:' || protocol === 'http:') && username === '' && password === ''
}

/** This host, or link-local as the metadata services of clouds are: no place for a mirror to send us to. */
async function isNearby({ hostname }: URL): Promise<boolean> {
  const addresses = await lookup(hostname.replaceAll(/[[\]]/g, ''), { all: true })
  return addresses.some(({ address }) =>
    ['loopback', 'linkLocal', 'unspecified'].includes(ipaddr.process(address).range())
  )
}

function explain(error: unknown, url: URL, { aborted, reason }: AbortSignal): unknown {
  if (error instanceof Failure) return error
  if (aborted) return reason
  const { cause, message, code } = error as NodeJS.ErrnoException & { cause?: { code?: string; message?: string } }
  if (code === 'ENOSPC') return error
  const why = cause?.code ?? cause?.message ?? code ?? message
  return new Failure(`${shownUrl(url)} did not come whole (${why}); nothing was kept: try again`, 1, { cause: error })
}
