// Any bytes on the HTTP sockets: answered by the protocol's own error or dropped; never a crash, never a wait without end.

import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { env } from 'node:process'
import t, { type Test } from 'tap'
import { buildBootApp } from '../../../server/http/boot-app.ts'
import { buildControlApp } from '../../../server/http/control-app.ts'
import type { App, Limits } from '../../../server/http/deps.ts'
import { createWorld, fakeAuthority, putDocuments } from '../../helpers/http.ts'
import { seeded } from '../../helpers/random.ts'

const seed = Number(env.SLIPWAY_SEED ?? 20_261_121)
const ROUNDS = 400

async function open(t: Test, plane: 'boot' | 'control', limits: Partial<Limits> = {}) {
  const world = await createWorld(t, fakeAuthority())
  await putDocuments(world, 'auto')
  const app = plane === 'boot' ? await buildBootApp(world, limits) : await buildControlApp(world, null, limits)
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  return { world, app, port: portOf(app) }
}

function portOf(app: App): number {
  return (app.server.address() as AddressInfo).port
}

/** Sends, half-closes, and returns what came back before the end. */
async function exchange(port: number, bytes: Buffer): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  const got = collect(socket)
  socket.end(bytes)
  await ended(socket)
  return got()
}

/** once() would reject when the end is a reset, which is what bytes that nobody read any more are answered with. */
async function ended(socket: Socket): Promise<void> {
  await new Promise<void>(resolve => socket.once('close', () => resolve()))
}

function collect(socket: Socket): () => string {
  let text = ''
  socket.on('data', chunk => {
    text += chunk.toString('latin1').slice(0, 10_000)
  })
  socket.on('error', () => socket.destroy()) // a reset is an answer
  return () => text
}

const seeds = [
  'GET /boot/ipxe?mac=52-54-00-00-00-01&arch=x86_64&platform=efi HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
  'GET /b/00000000000000000000000000000000/ignition.json HTTP/1.1\r\nhost: x\r\n\r\n',
  'GET /assets/fcos/vmlinuz HTTP/1.1\r\nhost: x\r\nrange: bytes=0-5\r\n\r\n',
  'POST /api/v1/session HTTP/1.1\r\nhost: x\r\norigin: http://x\r\ncontent-type: application/json\r\ncontent-length: 12\r\n\r\n{"code":"x"}',
  'POST /api/v1/apply HTTP/1.1\r\nhost: x\r\nauthorization: Bearer admin-token\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n5\r\n[{},1\r\n0\r\n\r\n',
  'GET /api/v1/events?after=5 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer viewer-token\r\nconnection: close\r\n\r\n'
]

for (const plane of ['boot', 'control'] as const) {
  t.test(`${ROUNDS} hostile requests to the ${plane} plane, seed ${seed}`, async t => {
    const { world, app, port } = await open(t, plane)
    const random = seeded(seed)
    const pick = (below: number) => Math.floor(random() * below)
    const mutate = (text: string): Buffer => {
      const bytes = Buffer.from(text, 'latin1')
      const changes = pick(6)
      for (let i = 0; i < changes; i++) bytes[pick(bytes.length)] = pick(256)
      const cut = pick(4) === 0 ? bytes.subarray(0, pick(bytes.length)) : bytes
      return pick(5) === 0
        ? Buffer.concat([cut, Buffer.from(Array.from({ length: pick(3000) }, () => pick(256)))])
        : cut
    }
    const statuses = new Set<string>()
    for (let round = 0; round < ROUNDS; round += 20) {
      const requests = Array.from({ length: 20 }, () => mutate(seeds[pick(seeds.length)]!))
      for (const reply of await Promise.all(requests.map(bytes => exchange(port, bytes)))) {
        statuses.add(/^HTTP\/1\.1 ([0-9]{3})/.exec(reply)?.[1] ?? 'none')
      }
    }
    t.notOk(statuses.has('500'), `no bug was met (${[...statuses].join(', ')}): ${JSON.stringify(world.logged)}`)
    t.equal((await app.inject('/healthz')).statusCode, 200, 'still there')
    t.match(await world.metrics.text(), /^slipway_http_malformed_total [1-9]/m, 'and they were counted')
    t.same(world.logged, [])
  })
}

t.test('what is too large or too slow', async t => {
  const { port, app } = await open(t, 'boot', { headersTimeoutMs: 300, requestTimeoutMs: 600, checkEveryMs: 50 })
  const long = `GET /boot/ipxe?mac=52-54-00-00-00-01&serial=${'%41'.repeat(30_000)} HTTP/1.1\r\nhost: x\r\n\r\n`
  t.match(await exchange(port, Buffer.from(long)), /^(HTTP\/1\.1 431|$)/, 'refused, or reset while it was still sent')
  const most = ['serial', 'manufacturer', 'product', 'asset', 'uuid'].map(key => `${key}=${'%41'.repeat(4096)}`)
  const full = `GET /boot/ipxe?mac=52-54-00-00-00-01&${most.join('&')} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`
  t.match(await exchange(port, Buffer.from(full)), /^HTTP\/1\.1 200/, 'every claim at its full size passes')

  const slow = connect(port, '127.0.0.1')
  const got = collect(slow)
  slow.write('GET /healthz HTTP/1.1\r\nhost: x\r\n')
  const drip = setInterval(() => slow.write('x-slow: 1\r\n'), 50)
  t.teardown(() => clearInterval(drip))
  await ended(slow)
  clearInterval(drip)
  t.match(got(), /^(HTTP\/1\.1 408|$)/, 'a header that never ends is ended')

  const body = connect(port, '127.0.0.1')
  const answered = collect(body)
  body.write('POST /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\nx')
  await ended(body)
  t.match(answered(), /^HTTP\/1\.1 4(04|08)/, 'a body that never comes is not waited for')
  t.equal((await app.inject('/healthz')).statusCode, 200)
})

t.test('a reader that goes away', async t => {
  const { world, app, port } = await open(t, 'boot')
  writeFileSync(join(world.data, 'assets/large'), Buffer.alloc(8 * 1024 * 1024, 1))
  for (let round = 0; round < 10; round++) {
    const socket = connect(port, '127.0.0.1')
    socket.write('GET /assets/large HTTP/1.1\r\nhost: x\r\n\r\n')
    await once(socket, 'data')
    socket.resetAndDestroy()
  }
  t.equal((await app.inject('/assets/large')).rawPayload.length, 8 * 1024 * 1024)
  t.same(world.logged, [], 'is no bug')
})

t.test('connections are counted', async t => {
  const { port } = await open(t, 'boot', { connectionsMax: 3 })
  const kept = Array.from({ length: 3 }, () => connect(port, '127.0.0.1'))
  t.teardown(() => kept.forEach(socket => socket.destroy()))
  await Promise.all(kept.map(async socket => once(socket, 'connect')))
  for (const socket of kept) {
    socket.write('GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n')
    await once(socket, 'data')
  }
  t.equal(await exchange(port, Buffer.from('GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n')), '', 'one too many is dropped')
})

t.test('a body over the limit', async t => {
  const { world, app } = await open(t, 'control')
  const headers = { authorization: world.tokens.admin, 'content-type': 'application/json' }
  const payload = `[${'1,'.repeat(600_000)}1]`
  t.equal((await app.inject({ method: 'POST', url: '/api/v1/apply', headers, payload })).statusCode, 413)
  const odd = await app.inject({
    method: 'POST',
    url: '/api/v1/apply',
    headers: { ...headers, 'content-type': 'text/xml' },
    payload: '<a/>'
  })
  t.equal(odd.statusCode, 415)
})
