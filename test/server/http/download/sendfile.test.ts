// Large files by the kernel, over real sockets: the right bytes to everybody, and nothing left behind by those who go.

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, renameSync, truncateSync, writeFileSync } from 'node:fs'
import { Agent, get as httpGet, type IncomingMessage } from 'node:http'
import { get as httpsGet } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { buildBootApp } from '../../../../server/http/boot-app.ts'
import type { Pace } from '../../../../server/http/download/pace.ts'
import { openSender, type Sender } from '../../../../server/http/download/sendfile/client.ts'
import { createDownloads } from '../../../../server/http/download/serve.ts'
import { openAuthority } from '../../../../server/pki/authority.ts'
import { createWorld, fakeAuthority } from '../../../helpers/http.ts'
import { seeded } from '../../../helpers/random.ts'

const BYTES = 24 * 1024 * 1024
const random = seeded(7)
const content = Buffer.alloc(BYTES)
for (let at = 0; at < BYTES; at += 4) content.writeUInt32LE(Math.floor(random() * 2 ** 32), at)

interface Options {
  readonly pace?: Pace
  readonly downloadsMax?: number
  readonly way?: 'kernel' | 'javascript'
  /** Instead of one that is opened. */
  readonly sender?: Sender
}

async function open(t: Test, { pace, downloadsMax, way = 'kernel', sender: given }: Options = {}) {
  const world = await createWorld(t, fakeAuthority())
  const { log, now, data } = world
  const sender = given ?? (way === 'kernel' ? openSender(log, pace) : null)
  t.teardown(() => sender?.close())
  const results: string[] = []
  const count = (result: string) => void results.push(result)
  const bounds = { ...(pace && { pace }), ...(downloadsMax !== undefined && { downloadsMax }) }
  const downloads = createDownloads({ log, now, sender, count, ...bounds })
  const app = await buildBootApp({ ...world, downloads })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const file = join(data, 'assets/large')
  writeFileSync(file, content)
  const { port } = app.server.address() as AddressInfo
  return { app, port, world, file, sender, downloads, results }
}

const request = (path = '/assets/large', headers = '') => `GET ${path} HTTP/1.1\r\nhost: x\r\n${headers}\r\n`

/** A client that has read the first bytes of the answer and reads no further. */
async function reader(port: number, text = request()): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => socket.destroy()) // a reset is how we are cut off
  socket.write(text)
  await once(socket, 'readable')
  return socket
}

async function closed(socket: Socket): Promise<number> {
  let bytes = 0
  socket.on('data', (chunk: Buffer) => (bytes += chunk.length))
  socket.resume()
  await new Promise(resolve => socket.once('close', resolve))
  return bytes
}

async function fetched(port: number, path: string, headers: Record<string, string> = {}, agent?: Agent) {
  const asked = httpGet({ host: '127.0.0.1', port, path, headers, agent: agent ?? false })
  const [reply] = (await once(asked, 'response')) as [IncomingMessage]
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of reply as AsyncIterable<Buffer>) {
    hash.update(chunk)
    bytes += chunk.length
  }
  return { status: reply.statusCode, bytes, sha256: hash.digest('hex'), headers: reply.headers }
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** Waits for what comes by itself; the test's own time limit is the bound. */
async function until(ready: () => boolean): Promise<void> {
  while (!ready()) await new Promise(resolve => setTimeout(resolve, 5))
}

const handles = (): number => readdirSync('/proc/self/fd').length

for (const way of ['kernel', 'javascript'] as const) {
  t.test(`whole files and ranges, by ${way}`, async t => {
    const { port, downloads, sender, results, world } = await open(t, { way })
    const rows: Array<[range: string | null, first: number, last: number]> = [
      [null, 0, BYTES - 1],
      ['bytes=0-65535', 0, 65_535],
      ['bytes=1-', 1, BYTES - 1],
      ['bytes=1048577-9999999', 1_048_577, 9_999_999],
      ['bytes=-100000', BYTES - 100_000, BYTES - 1],
      ['bytes=5-9', 5, 9]
    ]
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    t.teardown(() => agent.destroy())
    await Promise.all(
      rows.map(async ([range, first, last]) => {
        const got = await fetched(port, '/assets/large', range === null ? {} : { range }, agent)
        t.match(got, { status: range === null ? 200 : 206, bytes: last - first + 1 }, String(range))
        t.equal(got.sha256, sha256(content.subarray(first, last + 1)))
      })
    )
    t.match(await fetched(port, '/assets/large', { range: `bytes=${BYTES}-` }, agent), { status: 416 })
    await until(() => downloads.active() === 0)
    t.equal(sender?.active() ?? 0, 0)
    t.same([...new Set(results)], ['sent'])
    t.same(world.logged, [])
  })
}

t.test('sixteen at once, each the whole, over one connection after another', async t => {
  const { port, results } = await open(t)
  const all = await Promise.all(Array.from({ length: 16 }, () => fetched(port, '/assets/large')))
  t.same([...new Set(all.map(({ sha256 }) => sha256))], [sha256(content)])
  await until(() => results.length === 16) // the reader may be there before the thread has said so
  t.same([...new Set(results)], ['sent'])
})

async function openTls(t: Test, pace?: Pace) {
  const world = await createWorld(t, fakeAuthority())
  const { log, now, data } = world
  const authority = await openAuthority(join(data, 'ca'), { now: () => new Date() })
  const { certificatePem: cert, keyPem: key } = authority.issueServer({ dns: [], ips: ['127.0.0.1'] }, new Date())
  const sender = openSender(log)!
  t.teardown(() => sender.close())
  const results: string[] = []
  const count = (result: string) => void results.push(result)
  const downloads = createDownloads({ log, now, sender, count, ...(pace && { pace }) })
  const app = await buildBootApp({ ...world, downloads }, {}, { key, cert, ca: authority.caPem })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  writeFileSync(join(data, 'assets/large'), content)
  const { port } = app.server.address() as AddressInfo
  const options = { host: '127.0.0.1', port, path: '/assets/large', ca: authority.caPem, agent: false as const }
  return { world, sender, results, downloads, options }
}

t.test('by TLS, which the kernel cannot do here, through JavaScript', async t => {
  const { world, sender, results, downloads, options } = await openTls(t)
  const [reply] = (await once(httpsGet(options), 'response')) as [IncomingMessage]
  const hash = createHash('sha256')
  for await (const chunk of reply as AsyncIterable<Buffer>) hash.update(chunk)
  t.equal(hash.digest('hex'), sha256(content))
  const [cut] = (await once(httpsGet(options), 'response')) as [IncomingMessage]
  t.equal(sender.active(), 0)
  cut.destroy()
  await until(() => downloads.active() === 0)
  t.same(results, ['sent', 'gone'])
  t.same(world.logged, [])
})

t.test('who does not read is cut off by TLS, too', async t => {
  const { world, results, downloads, options } = await openTls(t, { windowMs: 400, bytesMin: 16 * 1024 * 1024 })
  const [reply] = (await once(httpsGet(options), 'response')) as [IncomingMessage]
  const drip = setInterval(() => reply.read(100_000), 20)
  t.teardown(() => clearInterval(drip))
  await until(() => results.length === 1 && downloads.active() === 0)
  t.same(results, ['slow'])
  clearInterval(drip)
  await t.rejects(reply.toArray(), { code: 'ECONNRESET' })
  t.same(world.logged, [])
})

t.test('boot programs, system extensions and the agent go the same way', async t => {
  const { port, world, sender } = await open(t)
  const files = {
    '/assets/boot/large.efi': 'boot/large.efi',
    '/assets/extensions/kubernetes-v1.36.3-x86_64.raw': 'extensions/kubernetes-v1.36.3-x86_64.raw',
    '/agent/x86_64': 'agents/slipway-agent-x86_64'
  }
  for (const [path, file] of Object.entries(files)) {
    writeFileSync(join(world.data, file), content)
    const held = await reader(port, request(path))
    t.equal(sender!.active(), 1, `${path}: by the kernel`)
    held.destroy()
    await until(() => sender!.active() === 0)
    t.equal((await fetched(port, path)).sha256, sha256(content))
  }
})

t.test('requests sent at once on one connection are answered in turn', async t => {
  const { port } = await open(t)
  const socket = connect(port, '127.0.0.1')
  const range = (first: number, last: number) => request('/assets/large', `range: bytes=${first}-${last}\r\n`)
  const head = 'HEAD /assets/large HTTP/1.1\r\nhost: x\r\n\r\n'
  const last = request('/assets/large', 'range: bytes=5-9\r\nconnection: close\r\n')
  socket.write(range(0, 999_999) + range(7, 200_006) + head + request('/healthz') + range(9, 3_000_008) + last)
  const chunks: Buffer[] = []
  for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk)
  let rest = Buffer.concat(chunks)
  const answers: string[] = []
  while (rest.length > 0) {
    const end = rest.indexOf('\r\n\r\n') + 4
    const text = rest.toString('latin1', 0, end)
    const status = /^HTTP\/1\.1 (\d+)/.exec(text)![1]!
    const length = answers.length === 2 ? 0 : Number(/content-length: (\d+)/i.exec(text)![1])
    answers.push(`${status} ${sha256(rest.subarray(end, end + length)).slice(0, 8)}`)
    rest = rest.subarray(end + length)
  }
  const part = (first: number, end: number) => `206 ${sha256(content.subarray(first, end + 1)).slice(0, 8)}`
  const [nothing, ok] = [Buffer.alloc(0), Buffer.from('ok\n')].map(bytes => `200 ${sha256(bytes).slice(0, 8)}`)
  t.same(answers, [part(0, 999_999), part(7, 200_006), nothing, ok, part(9, 3_000_008), part(5, 9)])
})

t.test('readers that go away leave nothing', async t => {
  const { port, sender, downloads, results, world } = await open(t)
  await fetched(port, '/assets/large')
  await until(() => downloads.active() === 0)
  const before = handles()
  const left: Socket[] = []
  for (let round = 0; round < 5; round++) {
    const readers = await Promise.all(Array.from({ length: 8 }, () => reader(port)))
    for (const [i, socket] of readers.entries()) {
      if (i % 3 === 0) socket.resetAndDestroy()
      else if (i % 3 === 1) socket.destroy()
      else left.push(socket.end())
    }
  }
  await until(() => downloads.active() === 0 && sender!.active() === 0)
  t.same([...new Set(results.slice(1))], ['gone'])
  for (const socket of left) socket.destroy()
  await until(() => handles() <= before)
  t.same(world.logged, [], 'nobody is told')
  t.equal((await fetched(port, '/assets/large')).sha256, sha256(content), 'and the next one is served')
})

t.test('a connection that is being shut down at that moment is closed, too', async t => {
  // What a reader that half-closes and resets at once makes of it, when the thread hears of it first.
  const sender: Sender = {
    send(socket) {
      const ended = new Promise<'gone'>(resolve => {
        const final = socket._final.bind(socket)
        socket._final = done => {
          final(done) // asks libuv, which does it in the next turn of the loop
          resolve('gone')
        }
      })
      socket.end()
      return { ended, abort: () => undefined }
    },
    active: () => 0,
    close: () => Promise.resolve()
  }
  const { port, downloads, results } = await open(t, { sender })
  const before = handles()
  const left = await reader(port)
  await until(() => results.length === 1 && downloads.active() === 0)
  left.destroy()
  await until(() => handles() <= before)
  t.same(results, ['gone'])
})

t.test('a file that was replaced goes on as it was; one that was cut short is no success', async t => {
  const { port, file, results, world } = await open(t)
  const first = await reader(port, request('/assets/large', 'connection: close\r\n'))
  writeFileSync(`${file}.new`, 'another')
  renameSync(`${file}.new`, file)
  t.equal((await fetched(port, '/assets/large')).bytes, 7)
  const chunks: Buffer[] = []
  for await (const chunk of first as AsyncIterable<Buffer>) chunks.push(chunk)
  const whole = Buffer.concat(chunks)
  t.equal(sha256(whole.subarray(whole.indexOf('\r\n\r\n') + 4)), sha256(content))
  t.same(results, ['sent', 'sent'])

  writeFileSync(file, content)
  const second = await reader(port)
  truncateSync(file, 1000)
  t.ok((await closed(second)) < BYTES)
  t.equal(results.at(-1), 'short')
  t.same(world.logged, [{ event: 'download.broken', fields: { file: 'large', reason: 'short' } }])
})

for (const way of ['kernel', 'javascript'] as const) {
  t.test(`who does not read is cut off, by ${way}`, async t => {
    const pace = { windowMs: 400, bytesMin: 16 * 1024 * 1024 }
    const { port, downloads, results } = await open(t, { way, pace })
    const socket = await reader(port)
    if (way === 'javascript') {
      // Something is read now and then: a connection on which nothing moves meets the idle timeout instead.
      const drip = setInterval(() => socket.read(100_000), 20)
      t.teardown(() => clearInterval(drip))
    }
    await until(() => results.length === 1)
    t.same(results, ['slow'])
    t.ok((await closed(socket)) < BYTES)
    await until(() => downloads.active() === 0)
  })
}

t.test('more than the bound are asked to come again', async t => {
  const { port, downloads, results } = await open(t, { downloadsMax: 2 })
  const readers = [await reader(port), await reader(port)]
  const third = await fetched(port, '/assets/large')
  t.match(third, { status: 503, headers: { 'retry-after': '5' } })
  t.same(results, ['refused'])
  for (const socket of readers) socket.destroy()
  await until(() => downloads.active() === 0)
  t.equal((await fetched(port, '/assets/large')).sha256, sha256(content))
})

t.test('garbage behind a request ends the connection, and is not answered inside the body', async t => {
  const { port, world } = await open(t)
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => socket.destroy()) // cut off
  socket.write(`${request()}\x00\x01 this is no request\r\n\r\n`)
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
  await new Promise(resolve => socket.once('close', resolve))
  t.equal(text.match(/HTTP\/1\.1/g)?.length ?? 0, text === '' ? 0 : 1)
  t.same(world.logged, [])
})

t.test('closing ends what is under way', async t => {
  const { app, port, sender, downloads } = await open(t)
  const readers = await Promise.all(Array.from({ length: 4 }, () => reader(port)))
  await app.close()
  await Promise.all(readers.map(closed))
  await until(() => downloads.active() === 0)
  await sender!.close()
  t.equal(sender!.active(), 0)
})

t.test('a thread that dies is a bug that is logged, and the next file is sent all the same', async t => {
  const { port, sender, world, results } = await open(t)
  const before = handles()
  const held = await reader(port)
  for (let death = 1; death <= 5; death++) {
    const [left, right] = [connect(port, '127.0.0.1'), 0.5] // no whole number: the thread cannot count with it
    await once(left, 'connect')
    await sender!.send(left, 0, right, 100_000)?.ended
    left.destroy()
    t.equal((await fetched(port, '/assets/large')).sha256, sha256(content), `after death ${death}`)
  }
  await closed(held)
  t.equal(results[0], 'failed', 'what was under way is cut off')
  const bugs = world.logged.filter(({ event }) => event === 'bug')
  t.equal(bugs.length, 4, 'then files go through JavaScript')
  await until(() => handles() <= before)
})
