// The same requests to nginx and to us, for the same file: status, range and bytes must agree. Left out is where nginx
// answers otherwise than RFC 9110 asks: ranges of HEAD, malformed ranges (416 instead of the whole), several
// ranges, a date beside a tag (it counts there).

import { spawn } from 'node:child_process'
import { existsSync, utimesSync, writeFileSync } from 'node:fs'
import { get, type IncomingMessage, type RequestOptions } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { env } from 'node:process'
import t, { type Test } from 'tap'
import { buildBootApp } from '../../../../server/http/boot-app.ts'
import { openSender } from '../../../../server/http/download/sendfile/client.ts'
import { createDownloads } from '../../../../server/http/download/serve.ts'
import { noon, later } from '../../../helpers/database.ts'
import { createWorld, fakeAuthority } from '../../../helpers/http.ts'
import { seeded } from '../../../helpers/random.ts'
import { findProgram, needs } from '../../../helpers/require.ts'

const seed = Number(env.SLIPWAY_SEED ?? 20_261_121)
const ROUNDS = 400
const BYTES = 300_000

async function startNginx(t: Test, folder: string): Promise<string> {
  const [socket, config] = [join(folder, 'nginx.sock'), join(folder, 'nginx.conf')]
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  writeFileSync(
    config,
    `daemon off; master_process off; ${user} pid ${folder}/nginx.pid; error_log stderr crit;
events { worker_connections 64; }
http { sendfile on; access_log off; if_modified_since before; client_body_temp_path ${folder}/body;
server { listen unix:${socket}; location /assets/ { alias ${folder}/assets/; } } }
`
  )
  const nginx = spawn(findProgram('nginx')!, ['-c', config, '-p', folder], { stdio: ['ignore', 'inherit', 'inherit'] })
  const ended = once(nginx, 'exit')
  t.teardown(async () => {
    nginx.kill('SIGTERM')
    await ended
  })
  while (!existsSync(socket)) await new Promise(resolve => setTimeout(resolve, 10))
  return socket
}

async function ask(where: RequestOptions, path: string, headers: Record<string, string>) {
  const [reply] = (await once(get({ ...where, path, headers, agent: false }), 'response')) as [IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of reply as AsyncIterable<Buffer>) chunks.push(chunk)
  const { statusCode: status = 0 } = reply
  const body = status < 300 ? Buffer.concat(chunks) : null // what an error says is everybody's own
  return { status, body, range: reply.headers['content-range'], headers: reply.headers }
}

t.test(`${ROUNDS} requests as nginx answers them, seed ${seed}`, needs({ programs: ['nginx'] }), async t => {
  const world = await createWorld(t, fakeAuthority())
  const random = seeded(seed)
  const below = (bound: number) => Math.floor(random() * bound)
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!
  const files: Record<string, number> = { 'large.img': BYTES, 'small.img': 1000, 'empty.img': 0 }
  for (const [name, bytes] of Object.entries(files)) {
    const path = join(world.data, 'assets', name)
    writeFileSync(path, Buffer.from(Array.from({ length: bytes }, () => below(256))))
    utimesSync(path, noon, noon)
  }
  const sender = openSender(world.log)
  t.teardown(() => sender?.close())
  const app = await buildBootApp({
    ...world,
    downloads: createDownloads({ log: world.log, now: () => later(60), sender, count: () => {} })
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const ours = { host: '127.0.0.1', port: (app.server.address() as AddressInfo).port }
  const theirs = { socketPath: await startNginx(t, world.data) }

  const date = () => later(pick([-10, -1, 0, 0, 0, 1, 10])).toUTCString()
  const tags = () => pick(['TAG', '"no", TAG', '"no"', '*'])
  /** TAG stands for the tag of whoever is asked. */
  const shape = (bytes: number): Record<string, string> => {
    const [a, b] = [below(bytes + 20), below(bytes + 20)].toSorted((one, other) => one - other) as [number, number]
    const range = pick([`${a}-${b}`, `${a}-${b}`, `${a}-`, `-${b}`, '0-0', `0-${'9'.repeat(15)}`])
    return {
      ...(below(4) > 0 && { range: `bytes=${range}` }),
      ...(below(3) === 0 && { 'if-range': pick(['TAG', '"no"', date()]) }),
      ...pick([{}, {}, { 'if-none-match': tags() }, { 'if-modified-since': date() }]),
      ...pick([{}, {}, { 'if-match': tags() }, { 'if-unmodified-since': date() }])
    }
  }
  const statuses = new Map<number, number>()
  for (let round = 0; round < ROUNDS; round++) {
    const [name, bytes] = pick(Object.entries(files))
    const [path, asked] = [`/assets/${name}`, shape(bytes)]
    const [us, them] = await Promise.all(
      [ours, theirs].map(async where => {
        const tag = (await ask(where, path, { range: 'bytes=0-0' })).headers.etag!
        const headers = Object.entries(asked).map(([key, value]) => [key, value.replaceAll('TAG', tag)])
        return ask(where, path, Object.fromEntries(headers) as Record<string, string>)
      })
    )
    const what = `${name} ${JSON.stringify(asked)}`
    statuses.set(them!.status, (statuses.get(them!.status) ?? 0) + 1)
    if (us!.status !== them!.status || us!.range !== them!.range) {
      t.same([us!.status, us!.range], [them!.status, them!.range], what)
    }
    if (us!.body !== null && !us!.body.equals(them!.body ?? Buffer.alloc(0))) t.fail(`other bytes: ${what}`)
  }
  t.comment(JSON.stringify([...statuses]))
  t.same(
    [...statuses.keys()].toSorted((a, b) => a - b),
    [200, 206, 304, 412, 416],
    'every kind of answer was compared'
  )
  t.same(world.logged, [])
})
