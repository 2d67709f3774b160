import t, { type Test } from 'tap'
import { buildBootApp } from '../../../server/http/boot-app.ts'
import { latestBoot, moveBoot } from '../../../server/store/boots.ts'
import { listEvents } from '../../../server/store/events.ts'
import { getMachine, listMachines } from '../../../server/store/machines.ts'
import type { Db } from '../../../server/store/schema.ts'
import { forEachDialect, later } from '../../helpers/database.ts'
import { bootUrl, createWorld, fakeAuthority, noPage, putDocuments } from '../../helpers/http.ts'

const address = '192.0.2.77'
const report = { platform: 'uefi', secureBoot: true, arch: 'x86_64', kernel: '6.1.0-50-cloud-amd64' }

async function booting(t: Test, store: Db | null = null) {
  const world = await createWorld(t, fakeAuthority(), noPage, store)
  await putDocuments(world, 'auto')
  const app = await buildBootApp(world)
  t.teardown(() => app.close())
  const get = async (url: string) => app.inject({ url, remoteAddress: address })
  const config = /ignition_url=http:\/\/[^/]+(\S+)/.exec((await get(bootUrl(1))).body)![1]!
  const url = config.replace('ignition.json', 'booted')
  const send = async (payload: unknown, from = address, headers: Record<string, string> = {}) =>
    app.inject({
      method: 'POST',
      url,
      remoteAddress: from,
      headers: { 'content-type': 'application/json', ...headers },
      payload: typeof payload === 'string' ? payload : JSON.stringify(payload)
    })
  const [machine] = await listMachines(world.db)
  const id = machine!.id
  const told = async () => (await listEvents(world.db, { machine: id, limit: 100 })).filter(isReport)
  return { world, app, get, config, url, send, id, told }
}

const isReport = ({ type }: { type: string }): boolean => type === 'boot.booted'

forEachDialect(t, 'an installer says once that it runs', async (t, store) => {
  const { world, config, get, send, id, told } = await booting(t, store)
  const before = await getMachine(store, id)
  const answers = await Promise.all([send(report), send({}), send({ platform: 'bios' })])
  t.same(
    answers.map(({ statusCode }) => statusCode),
    [204, 204, 204]
  )
  t.equal((await told()).length, 1, 'three at once are one')
  t.equal((await send(report)).statusCode, 204)
  t.equal((await told()).length, 1, 'asking again is no news')
  t.match(await told(), [{ level: 'info', boot: (await latestBoot(store, id))!.id, detail: { address } }])
  t.same(await getMachine(store, id), before, 'claims change nothing')
  t.equal((await get(config)).statusCode, 200, 'the config is still there to be read')
  t.equal((await send(report)).statusCode, 204)
  t.same(world.logged, [])
})

t.test('what it says is on the timeline, as it said it', async t => {
  const { send, told } = await booting(t)
  t.equal((await send(report)).statusCode, 204)
  t.match(await told(), [
    {
      message: `the installer runs at ${address} and says: uefi, x86_64, Secure Boot, 6.1.0-50-cloud-amd64`,
      detail: { address, ...report }
    }
  ])
  const silent = await booting(t)
  t.equal((await silent.send({})).statusCode, 204)
  t.match(await silent.told(), [{ message: `the installer runs at ${address}` }])
})

t.test('what is no report', async t => {
  const { app, url, send, told } = await booting(t)
  const rows: Array<[name: string, payload: unknown, status: number]> = [
    ['nothing', '', 400],
    ['no JSON', '{', 400],
    ['no object', '[]', 400],
    ['null', 'null', 400],
    ['another platform', { platform: 'xbox' }, 400],
    ['another type', { secureBoot: 'true' }, 400],
    ['an unknown field', { name: 'x' }, 400],
    ['a prototype', '{"__proto__": {"x": 1}}', 400],
    ['a kernel that is no word', { kernel: '6.1 <script>' }, 400],
    ['a kernel of lines', { kernel: '6.1\n6.2' }, 400],
    ['a long kernel', { kernel: '6'.repeat(129) }, 400],
    ['a kilobyte and more', { kernel: '6'.repeat(1024) }, 413]
  ]
  for (const [name, payload, status] of rows) t.equal((await send(payload)).statusCode, status, name)
  t.equal(
    (await send('platform=bios', address, { 'content-type': 'application/x-www-form-urlencoded' })).statusCode,
    415
  )
  t.equal((await app.inject({ url, remoteAddress: address })).statusCode, 404, 'nothing to read')
  t.same(await told(), [])
})

t.test('a nonce that nobody has', async t => {
  const { app, told } = await booting(t)
  const send = (nonce: string) => app.inject({ method: 'POST', url: `/b/${nonce}/booted`, payload: {} })
  t.equal((await send('0'.repeat(32))).statusCode, 404)
  t.equal((await send('x')).statusCode, 400)
  t.same(await told(), [])
})

t.test('another address that knows the nonce is an alarm', async t => {
  const { world, config, get, send, id, told } = await booting(t)
  const stranger = await send(report, '192.0.2.99', { 'x-forwarded-for': address })
  t.equal(stranger.statusCode, 410)
  t.notMatch(stranger.body, address, 'it learns nothing about whose it was')
  t.match(await getMachine(world.db, id), { state: 'failed', reason: /192\.0\.2\.99 reported/ })
  t.equal((await get(config)).statusCode, 410, 'nobody reads the config any more')
  t.equal((await send(report)).statusCode, 410)
  t.same(await told(), [])
})

t.test('a boot that is over', async t => {
  for (const state of ['confirmed', 'superseded', 'expired', 'quarantined'] as const) {
    const { world, send, id, told } = await booting(t)
    await moveBoot(world.db, (await latestBoot(world.db, id))!.id, ['offered'], state, later(1))
    for (const from of [address, '192.0.2.99']) t.equal((await send(report, from)).statusCode, 410, state)
    t.same(await told(), [], state)
    t.match(await getMachine(world.db, id), { state: 'installing' }, `${state}: and no alarm`)
  }
  const { world, send } = await booting(t)
  world.clock.now = later(31 * 60)
  t.equal((await send(report)).statusCode, 410, 'it took too long')
})
