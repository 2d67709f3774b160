// Follows the server's timeline: each event, or a broken connection, calls for another look, at most so often.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Server } from './connect.ts'

const LOOK_EVERY_MS = 250
/** Nodes change without an event. */
const LOOK_ANYWAY_MS = 5_000
const RETRY_MS = 1_000

/** Goes on until the process is ended or the server refuses. */
export async function follow(server: Server, look: () => Promise<void>): Promise<never> {
  let dirty = true
  const listen = async (): Promise<void> => {
    const stream = await server.open('/api/v1/watch', { accept: 'text/event-stream' })
    stream.on('error', () => stream.destroy()) // the loop below opens another
    for await (const chunk of stream) {
      if (String(chunk).includes('event:')) dirty = true
    }
  }
  let listening: Promise<void> | null = null
  for (let waited = 0; ; waited += LOOK_EVERY_MS) {
    listening ??= listen()
      .then(
        async () => await sleep(RETRY_MS),
        async () => await sleep(RETRY_MS) // gone for a moment: the next look says whether for good
      )
      .finally(() => {
        listening = null
        dirty = true
      })
    if (dirty || waited >= LOOK_ANYWAY_MS) {
      dirty = false
      waited = 0
      await look()
    }
    await sleep(LOOK_EVERY_MS)
  }
}
