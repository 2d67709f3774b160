// Mutated requests and noise to the boot plane while large files are sent, by clients that stop anywhere. Whatever comes:
// no bug is met, what looks whole is right, and no transfer, file or connection is left.

import { readdirSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { env } from 'node:process'
import t from 'tap'
import { buildBootApp } from '../../../server/http/boot-app.ts'
import { openSender } from '../../../server/http/download/sendfile/client.ts'
import { createDownloads } from '../../../server/http/download/serve.ts'
import { bootUrl, createWorld, fakeAuthority, putDocuments } from '../../helpers/http.ts'
import { seeded } from '../../helpers/random.ts'

const seed = Number(env.SLIPWAY_SEED ?? 20_261_121)
const REQUESTS = 3000
const LANES = 24
const BYTES = 400_000

const random = seeded(seed)
const below = (bound: number): number => Math.floor(random() * bound)
const pick = <T>(list: readonly T[]): T => list[below(list.length)]!
const content = Buffer.from(Array.from({ length: BYTES }, () => below(256)))

const lines = [
  'GET /assets/large HTTP/1.1',
  'GET /assets/large HTTP/1.1',
  'GET //assets/./large HTTP/1.1',
  'HEAD /assets/large HTTP/1.1',
  'GET /assets/large HTTP/1.0',
  'GET http://x/assets/large HTTP/1.1',
  'GET /agent/x86_64 HTTP/1.1',
  `GET ${bootUrl(1)} HTTP/1.1`,
  'GET /boot/grub?mac=52-54-00-00-00-01 HTTP/1.1',
  `GET /b/${'0'.repeat(32)}/ignition.json HTTP/1.1`,
  `POST /b/${'0'.repeat(32)}/booted HTTP/1.1`,
  'OPTIONS * HTTP/1.1',
  'CONNECT x:1 HTTP/1.1',
  'PRI * HTTP/2.0'
]
const fields = [
  'range: bytes=0-99999',
  'range: bytes=300000-',
  'range: bytes=-200000',
  'range: bytes=0-1,5-9',
  'range: bytes=999999999-',
  'if-range: "x"',
  'if-none-match: *',
  'connection: close',
  'connection: keep-alive, upgrade\r\nupgrade: h2c',
  'expect: 100-continue',
  'content-length: 5',
  'transfer-encoding: chunked',
  'accept-encoding: gzip',
  'x-long: '.padEnd(4000, 'x')
]

function requestText(): string {
  const chosen = Array.from({ length: below(4) }, () => pick(fields))
  const body = below(6) === 0 ? pick(['{"a":', 'hello', '5\r\nhello\r\n0\r\n\r\n', '0\r\n\r\n']) : ''
  return `${[pick(lines), 'host: x', ...chosen].join('\r\n')}\r\n\r\n${body}`
}

/** One to four requests, of which some are damaged: bytes changed, cut, doubled, or noise between. */
function stream(): Buffer {
  const parts = Array.from({ length: 1 + below(4) }, () => {
    const bytes = Buffer.from(requestText(), 'latin1')
    if (below(4) > 0) return bytes
    for (let changes = below(5); changes > 0; changes--) bytes[below(bytes.length)] = below(256)
    const cut = below(4) === 0 ? bytes.subarray(0, below(bytes.length)) : bytes
    return below(6) === 0
      ? Buffer.concat([cut, Buffer.from(Array.from({ length: below(500) }, () => below(256)))])
      : cut
  })
  return Buffer.concat(parts)
}

type End = 'stays' | 'ends' | 'goes' | 'resets'

/** Plays one client to its end, and returns what it was sent. */
function play(port: number, bytes: Buffer, end: End, after: number, patience: number): Promise<Buffer> {
  return new Promise(resolve => {
    const chunks: Buffer[] = []
    let got = 0
    const socket = connect(port, '127.0.0.1')
    const leave = (): void => void (end === 'resets' ? socket.resetAndDestroy() : socket.destroy())
    // A good request is answered and its connection stays open: somebody must end it.
    socket.setTimeout(patience, () => socket.destroy())
    socket.on('error', () => socket.destroy()) // a reset is an answer
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      got += chunk.length
      if (end !== 'stays' && end !== 'ends' && got >= after) leave()
    })
    socket.once('close', () => resolve(Buffer.concat(chunks)))
    if (end === 'ends') socket.end(bytes)
    else socket.write(bytes)
  })
}

/** The first answer, when it is a file that is there in full; null when it is something else, or was broken off. */
function firstFile(reply: Buffer): { readonly first: number; readonly body: Buffer } | null {
  const at = reply.indexOf('\r\n\r\n') + 4
  const head = reply.toString('latin1', 0, at)
  if (!/^HTTP\/1\.1 20[06]/.test(head) || !/content-type: application\/octet-stream/i.test(head)) return null
  const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? -1)
  const first = Number(/content-range: bytes (\d+)/i.exec(head)?.[1] ?? 0)
  const body = reply.subarray(at, at + length)
  return body.length === length && length > 100 ? { first, body } : null
}

t.test(`${REQUESTS} damaged streams, seed ${seed}`, { timeout: 120_000 }, async t => {
  const world = await createWorld(t, fakeAuthority())
  await putDocuments(world, 'auto')
  writeFileSync(join(world.data, 'assets/large'), content)
  const sender = openSender(world.log)!
  t.teardown(() => sender.close())
  const results = new Map<string, number>()
  const count = (result: string) => void results.set(result, (results.get(result) ?? 0) + 1)
  const downloads = createDownloads({ log: world.log, now: world.now, sender, count })
  const app = await buildBootApp({ ...world, downloads })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const { port } = app.server.address() as AddressInfo
  await play(port, Buffer.from('GET /assets/large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'), 'stays', 0, 5000)
  const before = readdirSync('/proc/self/fd').length

  const wrong: string[] = []
  const statuses = new Map<string, number>()
  let left = REQUESTS
  let whole = 0
  async function lane(): Promise<void> {
    while (left-- > 0) {
      const bytes = stream()
      const end = pick<End>(['stays', 'ends', 'goes', 'resets'])
      const reply = await play(port, bytes, end, below(BYTES), 200)
      const status = reply.toString('latin1', 9, 12)
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
      const file = firstFile(reply)
      if (file === null || /^(HEAD|head)/.test(bytes.toString('latin1', 0, 4))) continue
      whole += 1
      if (!file.body.equals(content.subarray(file.first, file.first + file.body.length))) wrong.push(bytes.toString())
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  t.comment(JSON.stringify([...statuses]), JSON.stringify([...results]), whole)
  t.same(wrong, [], 'what came whole was right')
  t.ok(whole > 30, `${whole} were`)
  t.notOk(statuses.has('500'))
  t.same(world.logged, [], 'no bug was met')
  while (downloads.active() > 0 || sender.active() > 0) await new Promise(resolve => setTimeout(resolve, 5))
  app.server.closeAllConnections()
  while (readdirSync('/proc/self/fd').length > before) await new Promise(resolve => setTimeout(resolve, 5))
  t.equal((await app.inject('/healthz')).statusCode, 200)
})
