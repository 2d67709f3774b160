// Finds the server that a command is about, and talks to its API. What is not said comes from the environment, then
// from a server that runs on this host.

import { readFile } from 'node:fs/promises'
import { type IncomingMessage, request as plainRequest } from 'node:http'
import { request as tlsRequest } from 'node:https'
import { join } from 'node:path'
import type { Problem } from '../contract/problem.ts'
import { listed } from '../core/problems.ts'
import { findText, type RunFile } from '../data/files.ts'
import { Failure } from './failure.ts'

export interface ServerOptions {
  readonly server?: string
  readonly tokenFile?: string
  readonly caFile?: string
}

export interface Server {
  readonly url: string
  readonly get: <T>(path: string) => Promise<T>
  readonly send: <T>(method: 'POST' | 'PUT' | 'DELETE', path: string, body: unknown) => Promise<T>
  /** A response that goes on: the caller reads it. */
  readonly open: (path: string, headers: Record<string, string>) => Promise<IncomingMessage>
}

/** How long a server may think about one request. */
const TIMEOUT_MS = 30_000
const REPLY_BYTES_MAX = 64 * 1024 * 1024

export async function connect(options: ServerOptions): Promise<Server> {
  const { env } = process
  const local = await findLocalServer()
  const url = options.server ?? env.SLIPWAY_SERVER ?? local?.run.control
  if (url === undefined) {
    throw new Failure('no server: start one with slipway serve, or name one with --server URL and --token-file F')
  }
  const data = local !== null && url === local.run.control ? local.data : null
  const tokenFile = options.tokenFile ?? env.SLIPWAY_TOKEN_FILE ?? below(data, 'admin.token')
  const caFile = options.caFile ?? env.SLIPWAY_CA_FILE ?? below(data, 'ca/ca.crt')
  const token = tokenFile === undefined ? null : (await readNamed(tokenFile, 'token')).trim()
  const ca = caFile === undefined ? undefined : await readNamed(caFile, 'CA certificate')
  return serverAt(url.replace(/\/$/, ''), token, ca)
}

/** The data folder of ./slipway.yaml, of the system's, or the usual one: the first in which a server runs. */
export async function findLocalServer(): Promise<{ data: string; run: RunFile } | null> {
  for (const data of await dataFolders()) {
    const run = await findRunFile(data)
    if (run !== null && isAlive(run.pid)) return { data, run }
  }
  return null
}

/** Null when no server runs with this folder, or the folder is not ours to read. */
async function findRunFile(data: string): Promise<RunFile | null> {
  try {
    const text = await findText(join(data, 'run.json'))
    return text === null ? null : (JSON.parse(text) as RunFile)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EACCES' || code === 'ENOTDIR') return null
    throw error
  }
}

function below(data: string | null, path: string): string | undefined {
  return data === null ? undefined : join(data, path)
}

async function dataFolders(): Promise<string[]> {
  const named = await Promise.all(['slipway.yaml', '/etc/slipway/slipway.yaml'].map(dataOf))
  return [...named.filter(folder => folder !== null), '/var/lib/slipway']
}

/** Only this one key: what else is wrong with the file is for `slipway check`. */
async function dataOf(file: string): Promise<string | null> {
  try {
    const { parse } = await import('yaml')
    const raw: unknown = parse(await readFile(file, 'utf8'))
    const data = typeof raw === 'object' && raw !== null && 'data' in raw ? raw.data : null
    return typeof data === 'string' ? data : null
  } catch {
    return null // absent, unreadable or broken: it names no folder
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' // somebody else's, but there
  }
}

async function readNamed(file: string, what: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new Failure(`cannot read the ${what} file ${file}: ${(error as Error).message}`, 1, { cause: error })
  }
}

function serverAt(url: string, token: string | null, ca: string | undefined): Server {
  if (!/^https?:\/\//.test(url)) throw new Failure(`--server wants a URL such as https://host:8443, not ${url}`, 2)
  const authorization = token === null ? {} : { authorization: `Bearer ${token}` }
  const start = (method: string, path: string, headers: Record<string, string>, body?: string) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const request = (url.startsWith('https:') ? tlsRequest : plainRequest)(`${url}${path}`, {
        method,
        headers: { ...authorization, ...headers },
        agent: false,
        timeout: TIMEOUT_MS,
        ...(ca === undefined ? {} : { ca })
      })
      request.on('response', resolve)
      request.on('timeout', () => request.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)))
      request.on('error', error => reject(unreachable(url, error)))
      request.end(body)
    })
  const exchange = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const reply = await start(method, path, text === undefined ? {} : bodyHeaders(text), text)
    return JSON.parse(await readAll(reply)) as T
  }
  return {
    url,
    get: path => exchange('GET', path),
    send: (method, path, body) => exchange(method, path, body),
    open: async (path, headers) => {
      const reply = await start('GET', path, headers)
      if (reply.statusCode !== 200) await readAll(reply)
      reply.socket.setTimeout(0) // heartbeats come now and then
      return reply
    }
  }
}

/** The length as well: without it Node sends the body of a DELETE with nothing that says where it ends. */
function bodyHeaders(text: string): Record<string, string> {
  return { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) }
}

/** The whole text of a good answer; a problem document becomes a Failure that says what it says. */
async function readAll(reply: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of reply) {
    size += (chunk as Buffer).length
    if (size > REPLY_BYTES_MAX) throw new Failure('the answer is too large')
    chunks.push(chunk as Buffer)
  }
  const text = Buffer.concat(chunks).toString('utf8')
  const status = reply.statusCode ?? 0
  if (status >= 200 && status < 300) return text
  throw new Failure(problemText(text) ?? `the server answered ${status}`)
}

function problemText(text: string): string | null {
  try {
    const { detail, errors } = JSON.parse(text) as Partial<Problem>
    if (errors === undefined) return detail ?? null
    return `the server refused this:${listed(errors)}`
  } catch {
    return null // no problem document: the status says what is known
  }
}

const remedies: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there; is the server running?',
  ENOTFOUND: 'this host name is unknown',
  SELF_SIGNED_CERT_IN_CHAIN: 'its authority is not trusted; name it with --ca-file',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its authority is not trusted; name it with --ca-file',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its authority is not trusted; name it with --ca-file',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its authority is not trusted; name it with --ca-file'
}

function unreachable(url: string, error: Error): Failure {
  const remedy = remedies[(error as NodeJS.ErrnoException).code ?? ''] ?? error.message
  return new Failure(`cannot reach ${url}: ${remedy}`, 1, { cause: error })
}
