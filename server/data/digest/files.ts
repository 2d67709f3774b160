// The SHA-256 of files, computed once for each state of a file (size, time of writing, inode).

import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'

export interface Question {
  readonly id: number
  readonly path: string
}

export type Answer =
  | { readonly id: number; readonly sha256: string }
  | { readonly id: number; readonly code: string; readonly message: string }

export interface Digested {
  readonly size: number
  readonly mtimeMs: number
  readonly sha256: string
}

/** Of the file at that path; null when there is no regular file. Rejects when it cannot be read. */
export type DigestOf = (path: string) => Promise<Digested | null>

/** A file up to this size is hashed in less time than a thread needs to be asked. */
const SMALL_BYTES = 1024 * 1024
/** More files than any data folder holds in use; then all is forgotten and computed again. */
const KEPT_MAX = 100_000

export function openDigests(): DigestOf {
  const kept = new Map<string, { stamp: string; sha256: Promise<string> }>()
  return async path => {
    const found = await statFile(path)
    if (found === null) return null
    const { size, mtimeMs, ino } = found
    const stamp = `${size} ${mtimeMs} ${ino}`
    const known = kept.get(path)
    const sha256 = known?.stamp === stamp ? known.sha256 : sha256Of(path, size)
    if (kept.size >= KEPT_MAX) kept.clear()
    kept.set(path, { stamp, sha256 })
    sha256.catch(() => kept.delete(path)) // told to whoever waits for it below; the next one tries again
    return { size, mtimeMs, sha256: await sha256 }
  }
}

/** Null when there is nothing, or no regular file. */
export async function statFile(path: string) {
  try {
    const found = await stat(path)
    return found.isFile() ? found : null
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? ''
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG'].includes(code)) return null
    throw error
  }
}

async function sha256Of(path: string, size: number): Promise<string> {
  if (size > SMALL_BYTES) return askThread(path)
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
}

let thread: Worker | null = null
let count = 0
const waiting = new Map<number, { resolve: (sha256: string) => void; reject: (error: Error) => void }>()

function askThread(path: string): Promise<string> {
  thread ??= startThread()
  const id = ++count
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject })
    thread!.ref()
    thread!.postMessage({ id, path } satisfies Question, [])
  })
}

function startThread(): Worker {
  const started = new Worker(new URL('./main.ts', import.meta.url))
  started.on('message', (answer: Answer) => {
    const asked = waiting.get(answer.id)
    waiting.delete(answer.id)
    if (waiting.size === 0) started.unref() // it keeps no program alive that has nothing else to do
    if ('sha256' in answer) asked?.resolve(answer.sha256)
    else asked?.reject(Object.assign(new Error(answer.message), { code: answer.code }))
  })
  started.on('error', error => {
    thread = null
    for (const { reject } of waiting.values()) reject(error as Error)
    waiting.clear()
  })
  return started
}
