// A thread that reads files and hashes them, one after the other, so that a large one holds up nobody's packets.

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { parentPort } from 'node:worker_threads'
import type { Answer, Question } from './files.ts'

const READ_BYTES = 1024 * 1024

let last: Promise<void> = Promise.resolve()
parentPort?.on('message', (question: Question) => {
  last = last.then(async () => parentPort?.postMessage(await answer(question), []))
})

async function answer({ id, path }: Question): Promise<Answer> {
  const hash = createHash('sha256')
  try {
    await pipeline(createReadStream(path, { highWaterMark: READ_BYTES }), hash)
    return { id, sha256: hash.digest('hex') }
  } catch (error) {
    const { code = 'EIO', message } = error as NodeJS.ErrnoException
    return { id, code, message }
  }
}
