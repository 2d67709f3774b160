// The way through JavaScript, for TLS, for small files and for a Node without node:ffi: one buffer a response, filled
// again only when the kernel has taken all of it, so that memory is bounded by the number of responses.

import type { FileHandle } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { isDue, judge, type Mark, type Pace } from './pace.ts'
import type { Ending } from './sendfile/orders.ts'

const BUFFER_BYTES = 64 * 1024

/** Writes that part of the file as the body, and does not end it; says how that went. */
export async function pump(
  response: ServerResponse,
  file: FileHandle,
  { first, bytes }: { readonly first: number; readonly bytes: number },
  pace: Pace,
  nowMs: () => number
): Promise<Ending> {
  const buffer = Buffer.allocUnsafeSlow(Math.min(BUFFER_BYTES, Math.max(bytes, 1)))
  let mark: Mark = { atMs: nowMs(), taken: 0 }
  for (let sent = 0; sent < bytes;) {
    const read = file.read(buffer, 0, Math.min(buffer.length, bytes - sent), first + sent)
    const bytesRead = await read.then(
      result => result.bytesRead,
      () => null // the disk's own trouble, of which the kernel's log says more; the header is out already
    )
    if (bytesRead === null) return 'failed'
    if (bytesRead === 0) return 'short'
    if (!(await taken(response, buffer.subarray(0, bytesRead)))) return 'gone'
    sent += bytesRead
    if (!isDue(mark, nowMs(), pace)) continue
    const next = judge(mark, nowMs(), sent, pace)
    if (next === null) return 'slow'
    mark = next
  }
  return 'sent'
}

/** Whether the kernel took it; a reader that takes nothing at all meets the connection's own idle timeout. */
function taken(response: ServerResponse, chunk: Buffer): Promise<boolean> {
  return new Promise(resolve => {
    const gone = (): void => resolve(false)
    response.once('close', gone)
    response.write(chunk, error => {
      response.off('close', gone)
      resolve(!error && !response.destroyed)
    })
  })
}
