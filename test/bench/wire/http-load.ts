// Clients of a large file, as a process of its own: so many downloads at once, over and over until the time is up. They
// read into one buffer each and look at nothing but the head: what is measured is the server. Prints { seconds, bytes }.

import { connect, type Socket } from 'node:net'
import { SERVER } from './network.ts'

interface Input {
  readonly clients: number
  readonly path: string
  readonly ms: number
}

const BUFFER_BYTES = 256 * 1024
const { clients, path, ms } = JSON.parse(process.argv[2] ?? '') as Input
const started = performance.now()
let bytes = 0

const isOver = (): boolean => performance.now() - started > ms

/** One connection; each file is asked for when the one before it is there. */
function client(): Promise<void> {
  return new Promise((resolve, reject) => {
    const ask = (): void => void socket.write(`GET ${path} HTTP/1.1\r\nhost: ${SERVER}\r\n\r\n`)
    let left = 0 // of the body that is being read
    const read = (count: number, buffer: Uint8Array): boolean => {
      bytes += count
      const body = left === 0 ? bodyOf(Buffer.from(buffer.buffer, 0, count)) : { length: left, read: count }
      if (body === null || body.read > body.length) reject(new Error('this is not the file that was asked for'))
      else left = body.length - body.read
      if (isOver()) socket.destroy()
      else if (left === 0) ask()
      return true
    }
    const onread = { buffer: Buffer.alloc(BUFFER_BYTES), callback: read }
    const socket: Socket = connect({ host: SERVER, port: 80, onread }, ask)
    socket.once('close', () => resolve())
    socket.once('error', reject)
  })
}

/** From the first bytes of an answer; a head comes in one piece. */
function bodyOf(bytes: Buffer): { readonly length: number; readonly read: number } | null {
  const head = bytes.toString('latin1', 0, 2000)
  const end = head.indexOf('\r\n\r\n') + 4
  const length = /^HTTP\/1\.1 200 .*content-length: (\d+)\r\n/is.exec(head)?.[1]
  return length === undefined || end < 4 ? null : { length: Number(length), read: bytes.length - end }
}

await Promise.all(Array.from({ length: clients }, client))
process.stdout.write(JSON.stringify({ seconds: (performance.now() - started) / 1000, bytes }))
