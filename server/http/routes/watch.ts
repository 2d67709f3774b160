// /api/v1/watch: the timeline as server-sent events. Each event carries its id, so that a reader that was cut off
// goes on where it stopped (Last-Event-ID, or ?after=). A reader that does not keep up is cut off, and resumes.

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { ServerResponse } from 'node:http'
import { Type } from 'typebox'
import type { TimelineEvent } from '../../contract/event.ts'
import { Problem } from '../../contract/problem.ts'
import { Fault } from '../../core/fault.ts'
import { listEvents } from '../../store/events.ts'
import type { HttpDeps } from '../deps.ts'

/** Each holds a connection and a buffer. */
const WATCHERS_MAX = 100
/** What may wait for a slow reader, in bytes. */
const BUFFER_BYTES_MAX = 256 * 1024
/** Proxies and our own idle time-out cut what is silent for longer. */
const HEARTBEAT_MS = 15_000
/** After that long the reader comes back, and its token or session is looked at again. */
const LIFE_MS = 60 * 60_000
/** So many missed events are sent again; a reader further behind reads the lists anew. */
const REPLAY_MAX = 1_000

const Query = Type.Object(
  { after: Type.Optional(Type.String({ pattern: '^[0-9]{1,15}$' })) },
  { additionalProperties: false }
)

export function watchRoutes(deps: HttpDeps): FastifyPluginAsyncTypebox {
  return async app => {
    const open = new Set<ServerResponse>()
    app.addHook('preClose', async () => {
      for (const stream of open) stream.end()
    })
    app.get(
      '',
      { config: { access: 'viewer' }, schema: { querystring: Query, response: { '4xx': Problem, '5xx': Problem } } },
      async (request, reply) => {
        if (open.size >= WATCHERS_MAX) throw new Fault('unavailable', 'too many watchers; close some and try again')
        const last = request.headers['last-event-id'] ?? request.query.after
        const after = typeof last === 'string' && /^[0-9]{1,15}$/.test(last) ? Number(last) : null
        reply.hijack()
        const stream = reply.raw
        if (stream.destroyed) return // it went away while we looked who it is: no close would ever come
        open.add(stream)
        stream.on('close', () => open.delete(stream))
        await follow(deps, stream, after)
      }
    )
  }
}

/** A store that fails ends the stream: what waits for it would grow for as long as the reader stays. */
async function replay(db: HttpDeps['db'], after: number, stream: ServerResponse): Promise<TimelineEvent[]> {
  try {
    return await listEvents(db, { after, limit: REPLAY_MAX })
  } catch (error) {
    stream.destroy()
    throw error
  }
}

/** First what was missed, then what comes; events that come while the store is read wait their turn. */
async function follow({ db, bus, log }: HttpDeps, stream: ServerResponse, after: number | null): Promise<void> {
  stream.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff'
  })
  stream.write('retry: 1000\n\n')
  let sent = after ?? 0
  let waiting: TimelineEvent[] | null = []
  const send = (event: TimelineEvent): void => {
    if (waiting !== null) return void waiting.push(event)
    if (event.id <= sent) return
    sent = event.id
    stream.write(`id: ${event.id}\nevent: timeline\ndata: ${JSON.stringify(event)}\n\n`)
    if (stream.writableLength > BUFFER_BYTES_MAX) stream.destroy()
  }
  const end = bus.subscribe(send)
  const heartbeat = setInterval(() => stream.write(': still here\n\n'), HEARTBEAT_MS)
  const life = setTimeout(() => stream.end(), LIFE_MS)
  stream.on('close', () => {
    end()
    clearInterval(heartbeat)
    clearTimeout(life)
  })
  stream.on('error', error => log.debug('watch.broken', { error: error.message }))
  const missed = after === null ? [] : await replay(db, after, stream)
  const gap = missed.length === REPLAY_MAX
  const queued = waiting
  waiting = null
  if (gap) stream.write('event: reset\ndata: {}\n\n')
  for (const event of gap ? queued : [...missed, ...queued]) send(event)
}
