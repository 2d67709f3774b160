// A file as the answer to a request: found, opened once, planned, sent by the kernel (sendfile/) or through JavaScript
// (pump.ts). It bypasses fastify's own reply, which takes streams alone. Which files there are is ../files.ts.

import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Fault } from '../../core/fault.ts'
import type { Log } from '../../log.ts'
import { sendProblem } from '../problem.ts'
import { type Locate, openFile } from './files.ts'
import { type Pace, slowestPace } from './pace.ts'
import { type Answer, planAnswer, typeOf } from './plan.ts'
import { pump } from './pump.ts'
import type { Sender } from './sendfile/client.ts'
import type { Ending } from './sendfile/orders.ts'

/** Below this the way to the other thread and back costs more than it saves. */
const SENDFILE_BYTES_MIN = 64 * 1024
/** 1,000 machines that load at once, four times. Each holds two descriptors. */
const DOWNLOADS_MAX = 4_000

export interface Downloads {
  readonly send: (request: FastifyRequest, reply: FastifyReply, locate: Locate) => Promise<FastifyReply>
  /** Files that are open for somebody. */
  readonly active: () => number
}

export interface DownloadsDeps {
  readonly log: Log
  readonly now: () => Date
  /** Null: everything through JavaScript. */
  readonly sender: Sender | null
  readonly count: (result: Ending | 'refused') => void
  readonly pace?: Pace
  readonly downloadsMax?: number
}

export function createDownloads(deps: DownloadsDeps): Downloads {
  const { count, downloadsMax = DOWNLOADS_MAX } = deps
  let active = 0
  return {
    active: () => active,
    async send(request, reply, locate) {
      await turnOf(reply.raw)
      if (active >= downloadsMax) {
        count('refused')
        throw new Fault('unavailable', `${downloadsMax} downloads are under way: ask again`)
      }
      active += 1
      try {
        return await answer(deps, request, reply, locate)
      } finally {
        active -= 1
      }
    }
  }
}

/** Requests that were sent before the last one was answered wait, without an open file, until it is. */
async function turnOf(response: ServerResponse): Promise<void> {
  if (response.socket !== null || response.destroyed) return
  await new Promise<void>(resolve => {
    response.once('socket', () => resolve())
    response.once('close', () => resolve())
  })
}

async function answer(
  deps: DownloadsDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  locate: Locate
): Promise<FastifyReply> {
  const file = await openFile(locate)
  if (file === null) throw new Fault('not_found', 'there is no such file in the data folder')
  try {
    const planned = planAnswer(request.method, request.headers, file.facts, deps.now())
    const { plan, headers } = planned
    if (plan.kind === 'refused') return await refuse(reply, planned)
    reply.hijack()
    const { raw } = reply
    if (plan.kind === 'unchanged') {
      raw.writeHead(plan.status, { ...headers }).end()
      return reply
    }
    raw.writeHead(plan.status, { ...headers, 'content-type': typeOf(file.name), 'content-length': plan.bytes })
    if (request.method === 'HEAD') raw.end()
    else await sendBody(deps, raw, file.handle, plan, file.name)
    return reply
  } finally {
    await file.handle.close()
  }
}

async function refuse(reply: FastifyReply, { plan, headers }: Answer): Promise<FastifyReply> {
  const [title, detail] =
    plan.status === 416
      ? ['range not satisfiable', 'the file ends before that range']
      : ['precondition failed', 'the file is another one by now']
  return sendProblem(reply.headers({ ...headers }), { type: 'about:blank', title, status: plan.status, detail })
}

type FileHandle = Parameters<typeof pump>[1]
type Part = { readonly first: number; readonly bytes: number }

/** After an ending other than `sent` the connection is cut: a body that is too short must not look like a whole one. */
async function sendBody(deps: DownloadsDeps, raw: ServerResponse, file: FileHandle, part: Part, name: string) {
  const { sender, pace = slowestPace, log, count } = deps
  const fast = sender !== null && part.bytes >= SENDFILE_BYTES_MIN
  const ending =
    (fast ? await bySendfile(sender, raw, file, part) : null) ??
    (await pump(raw, file, part, pace, () => performance.now()))
  count(ending)
  if (ending === 'sent') {
    raw.end()
    return
  }
  if (ending === 'short' || ending === 'failed') log.warn('download.broken', { file: name, reason: ending })
  cut(raw)
}

/**
 * By a reset where Node can: what the kernel still holds for this reader is given up, too. Node cannot by TLS (it
 * throws), nor while the socket is being shut down: libuv then refuses, and the descriptor is forgotten, not closed.
 */
function cut(raw: ServerResponse): void {
  const { socket } = raw
  const isEnding = socket?.writableEnded === true && !socket.writableFinished
  if (socket === null) raw.destroy()
  else if (isEnding || 'encrypted' in socket) socket.destroy()
  else socket.resetAndDestroy()
}

/** Null when it does not go that way; nothing but the header has been sent then. */
async function bySendfile(sender: Sender, raw: ServerResponse, file: FileHandle, part: Part): Promise<Ending | null> {
  const { socket } = raw
  if (socket === null || !(await headerIsOut(raw, socket))) return null
  const sending = sender.send(socket, file.fd, part.first, part.bytes)
  if (sending === null) return null
  const idleMs = socket.timeout ?? 0
  socket.setTimeout(0) // Node sees nothing move; how slow a reader may be is pace.ts
  raw.once('close', sending.abort)
  const ending = await sending.ended
  raw.off('close', sending.abort)
  if (!socket.destroyed) socket.setTimeout(idleMs)
  return ending
}

/** Whether all that Node had to write is the kernel's, in whose queue the file comes next. */
function headerIsOut(raw: ServerResponse, socket: Socket): Promise<boolean> {
  return new Promise(resolve => {
    const gone = (): void => resolve(false)
    raw.once('close', gone)
    raw.write('', error => {
      raw.off('close', gone)
      resolve(!error && !socket.destroyed && socket.writableLength === 0)
    })
  })
}
