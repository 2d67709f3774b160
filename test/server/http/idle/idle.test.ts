// Ten thousand connections on which nothing happens: whoever really asks is answered, memory stays bounded, and they go.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { execPath, memoryUsage } from 'node:process'
import { createInterface } from 'node:readline'
import t from 'tap'
import { buildBootApp } from '../../../../server/http/boot-app.ts'
import { createWorld, fakeAuthority } from '../../../helpers/http.ts'

const COUNT = 10_000
const MEGABYTE = 1024 * 1024
const handlesMax = Number(execFileSync('sh', ['-c', 'ulimit -Hn']).toString().replace('unlimited', 'Infinity'))
const skip = handlesMax < COUNT + 1000 && `a process may have ${handlesMax} descriptors here`

t.test(`${COUNT} idle connections`, { skip, timeout: 120_000 }, async t => {
  const world = await createWorld(t, fakeAuthority())
  const app = await buildBootApp(world, { headersTimeoutMs: 300_000, requestTimeoutMs: 300_000, checkEveryMs: 100 })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const { port } = app.server.address() as AddressInfo
  const before = memoryUsage().rss
  const path = join(import.meta.dirname, 'clients.ts')
  const clients = spawn(execPath, [path, String(port), String(COUNT)], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => clients.kill('SIGKILL'))
  const ended = once(clients, 'exit')
  const lines = createInterface({ input: clients.stdout })[Symbol.asyncIterator]()
  t.equal((await lines.next()).value, 'open')

  const asked = (what: string) => fetch(`http://127.0.0.1:${port}${what}`)
  t.equal(await (await asked('/healthz')).text(), 'ok\n')
  t.equal(await (await asked('/assets/fcos/vmlinuz')).text(), 'kernel of fcos')
  const held = await new Promise<number>((resolve, reject) =>
    app.server.getConnections((error, count) => (error ? reject(error) : resolve(count)))
  )
  t.ok(held >= COUNT, `${held} are open`)
  const grown = memoryUsage().rss - before
  t.comment(`memory grew by ${Math.round(grown / MEGABYTE)} MB`)
  t.ok(grown < 300 * MEGABYTE, 'about 10 KB each, and what waits to be collected')

  // The time is over: Node reads this at each look.
  app.server.headersTimeout = 1
  t.equal((await lines.next()).value, String(COUNT), 'all were closed')
  t.equal(await (await asked('/healthz')).text(), 'ok\n')
  await ended
  t.match(await world.metrics.text(), /^slipway_http_malformed_total 10000$/m, 'and counted')
  t.same(world.logged, [])
})
