// Clients of a large file, as a process of its own: so many downloads at once, over and over until the time is up.
// Prints { seconds, bytes }.

import { get } from 'node:http'
import { SERVER } from './network.ts'

interface Input {
  readonly clients: number
  readonly path: string
  readonly ms: number
}

const { clients, path, ms } = JSON.parse(process.argv[2] ?? '') as Input
const started = performance.now()
let bytes = 0

function download(): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = get({ host: SERVER, port: 80, path, agent: false }, reply => {
      if (reply.statusCode !== 200) reject(new Error(`${path}: ${reply.statusCode}`))
      reply.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (performance.now() - started > ms) asked.destroy()
      })
      reply.on('close', () => resolve())
      reply.on('error', () => resolve()) // destroyed by us: the time is up
    })
    asked.on('error', error => (performance.now() - started > ms ? resolve() : reject(error)))
  })
}

async function work(): Promise<void> {
  while (performance.now() - started < ms) await download()
}

await Promise.all(Array.from({ length: clients }, work))
process.stdout.write(JSON.stringify({ seconds: (performance.now() - started) / 1000, bytes }))
