// The live server: on loopback with broadcasts to 127.255.255.255, then, as root, on a wire of its own with udhcpc.

import { once } from 'node:events'
import { createSocket } from 'node:dgram'
import t, { type Test as Tap } from 'tap'
import type { NewEvent } from '../../../server/contract/event.ts'
import type { Lease } from '../../../server/core/allocation.ts'
import type { Attachment, DhcpDeps, DhcpOptions } from '../../../server/dhcp/deps.ts'
import { type DhcpServer, startDhcp } from '../../../server/dhcp/server.ts'
import { messageType } from '../../../server/dhcp/codec/packet.ts'
import { readInterface } from '../../../server/dhcp/socket.ts'
import { silentLog } from '../../../server/log.ts'
import { exchange, openClient, packetOf, requestAddress, type Asker } from '../../lab/dhcp-client.ts'
import { readRequests } from '../../helpers/dhcp.ts'
import { seeded } from '../../helpers/random.ts'

interface World {
  server: DhcpServer
  clientPort: number
  events: NewEvent[]
  saved: Lease[]
  counts: Map<string, number>
  ask: (mac: string, asker: Asker, changes?: object) => ReturnType<typeof requestAddress>
}

function lo(handles: Partial<Attachment['handles']> = {}): Attachment {
  return {
    interface: readInterface('lo'),
    places: { bootUrl: 'http://127.0.0.1:8080', secureUrl: null },
    handles: { server: null, proxy: null, ...handles }
  }
}

async function start(t: Tap, changes: Partial<DhcpOptions> = {}, deps: Partial<DhcpDeps> = {}): Promise<World> {
  const events: NewEvent[] = []
  const saved: Lease[] = []
  const counts = new Map<string, number>()
  const clientPort = await freePort()
  const server = await startDhcp(
    {
      mode: 'authoritative',
      attachments: [lo()],
      ports: { server: 0, client: clientPort, proxy: 0 },
      subnets: [
        {
          subnet: '127.77.0.0/16',
          pool: { first: '127.77.0.1', last: '127.77.39.255' },
          gateway: null,
          dns: [],
          domain: null,
          leaseSeconds: 600
        }
      ],
      reservations: [],
      advertise: true,
      ...changes
    },
    {
      now: () => new Date(),
      log: silentLog,
      count: (type, result) => counts.set(`${type} ${result}`, (counts.get(`${type} ${result}`) ?? 0) + 1),
      leases: { list: async () => [], save: async lease => void saved.push(lease) },
      seen: event => void events.push(event),
      loaderOf: () => 'ipxe',
      ...deps
    }
  )
  t.teardown(() => server.close())
  const ask: World['ask'] = (mac, asker, more = {}) =>
    requestAddress({ mac, asker, serverPort: server.ports.server, clientPort, ...more })
  return { server, clientPort, events, saved, counts, ask }
}

t.test('a machine takes an address, in each of its stages the same', async t => {
  const { ask, events, saved, counts } = await start(t)
  const mac = '52:54:00:00:00:01'
  const firmware = await ask(mac, 'uefi-pxe', { uuid: '5afe0001-0000-0000-0000-000000000001' })
  t.match(firmware, { address: '127.77.0.1', bootFile: 'snponly.efi', nextServer: '127.0.0.1', leaseSeconds: 600 })
  t.match(await ask(mac, 'uefi-ipxe'), { address: '127.77.0.1', bootFile: 'http://127.0.0.1:8080/boot/ipxe' })
  t.match(await ask(mac, 'linux', { hostname: 'n01' }), { address: '127.77.0.1', bootFile: null })
  t.match(await ask('52:54:00:00:00:02', 'bios-rom-2019'), { address: '127.77.0.2', bootFile: 'undionly.kpxe' })
  t.equal(saved.length, 4)
  t.equal(saved[2]?.hostname, 'n01')
  t.same(
    events.filter(event => event.mac === mac).map(({ type }) => type),
    ['dhcp.discover', 'dhcp.offer', 'dhcp.ack', 'dhcp.discover', 'dhcp.offer', 'dhcp.ack'],
    'the installed system is not a boot'
  )
  t.match(events[0]?.detail, { uuid: '5afe0001-0000-0000-0000-000000000001', arch: 7 })
  t.match(events[2]?.message, 'PXE firmware (UEFI x86-64) was given 127.77.0.1, snponly.efi by TFTP')
  t.equal(counts.get('request ack'), 4)
})

t.test('each machine is led as its operator wants', async t => {
  const loaderOf: DhcpDeps['loaderOf'] = mac => (mac === '52:54:00:00:00:01' ? 'shim' : 'ipxe')
  const { ask } = await start(t, {}, { loaderOf })
  t.equal((await ask('52:54:00:00:00:01', 'uefi-pxe')).bootFile, 'shimx64.efi')
  t.equal((await ask('52:54:00:00:00:02', 'uefi-pxe')).bootFile, 'snponly.efi')
})

t.test('an old iPXE that comes back as it was gets its script, and by HTTPS who came by it', async t => {
  const clock = { now: new Date('2026-06-01T12:00:00Z') }
  const places = { bootUrl: 'http://127.0.0.1:8080', secureUrl: 'https://127.0.0.1:8444' }
  const { ask } = await start(t, { attachments: [{ ...lo(), places }] }, { now: () => clock.now })
  const old = async () => (await ask('52:54:00:00:00:01', 'bios-rom-2019')).bootFile
  const script = 'http://127.0.0.1:8080/boot/ipxe'
  t.same([await old(), await old(), await old()], ['undionly.kpxe', 'undionly.kpxe', script])
  clock.now = new Date('2026-06-01T12:05:00Z')
  t.equal(await old(), 'undionly.kpxe', 'a later boot begins anew: there may be a newer one by then')

  const mac = '52:54:00:00:00:02'
  t.equal((await ask(mac, 'uefi-ipxe')).bootFile, script, 'before it boots by HTTPS')
  t.equal((await ask(mac, 'uefi-http')).bootFile, 'https://127.0.0.1:8444/assets/boot/ipxe.efi')
  t.equal((await ask(mac, 'uefi-ipxe')).bootFile, 'https://127.0.0.1:8444/boot/ipxe')
  t.equal((await ask('52:54:00:00:00:03', 'uefi-ipxe')).bootFile, script)
})

t.test('a rack that powers on at once', async t => {
  const { ask } = await start(t)
  const macs = Array.from({ length: 30 }, (_, i) => `52:54:00:00:01:${i.toString(16).padStart(2, '0')}`)
  const given = await Promise.all(macs.map(mac => ask(mac, 'bios-ipxe')))
  t.equal(new Set(given.map(({ address }) => address)).size, 30)
})

t.test('no ACK without a committed lease', async t => {
  let broken = true
  const order: string[] = []
  const { ask, counts } = await start(
    t,
    {},
    {
      leases: {
        list: async () => [],
        async save() {
          if (broken) {
            broken = false
            throw new Error('disk full')
          }
          await new Promise(resolve => setImmediate(resolve))
          order.push('saved')
        }
      },
      seen: ({ type }) => void order.push(type)
    }
  )
  await ask('52:54:00:00:00:01', 'uefi-ipxe', { timeoutMs: 200 })
  t.equal(counts.get('request failed'), 1)
  t.same(order.slice(-2), ['saved', 'dhcp.ack'])
})

t.test('leases outlive the server', async t => {
  const saved: Lease[] = []
  const leases = { list: async () => saved, save: async (lease: Lease) => void saved.push(lease) }
  const first = await start(t, {}, { leases })
  await first.ask('52:54:00:00:00:01', 'linux')
  const { address } = await first.ask('52:54:00:00:00:02', 'linux')
  await first.server.close()
  const second = await start(t, {}, { leases })
  t.equal((await second.ask('52:54:00:00:00:02', 'linux')).address, address)
})

t.test('proxy: boot files only, on both ports', async t => {
  const { server, clientPort, events } = await start(t, { mode: 'proxy', subnets: [] })
  const client = await openClient(clientPort)
  t.teardown(() => client.close())
  const base = packetOf({ mac: '52:54:00:00:00:01', asker: 'uefi-pxe' })
  const discover = { ...base, options: { messageType: messageType.discover, ...base.options } }
  const to = { mac: base.mac, clientPort, serverPort: server.ports.server }
  t.match(await exchange(client, discover, to), { yourAddress: '0.0.0.0', bootFile: 'snponly.efi' })
  const request = {
    ...base,
    clientAddress: '127.0.0.1',
    options: { messageType: messageType.request, ...base.options }
  }
  const answer = await exchange(client, request, { ...to, serverPort: server.ports.proxy, broadcast: '127.0.0.1' })
  t.match(answer, { options: { messageType: messageType.ack, vendorClass: 'PXEClient', bootFileName: 'snponly.efi' } })
  t.same(
    events.map(({ type }) => type),
    ['dhcp.discover', 'dhcp.offer', 'dhcp.ack']
  )
})

t.test('an address that is kept for a machine, from the next packet on', async t => {
  const warned: unknown[] = []
  const log = { ...silentLog, warn: (event: string, fields?: object) => warned.push([event, fields]) }
  const [first, other] = ['52:54:00:00:00:01', '52:54:00:00:00:02']
  const { server, ask, events, saved } = await start(
    t,
    { reservations: [{ key: first, address: '127.77.99.1', machine: 'r1' }] },
    { log }
  )
  t.match(await ask(first, 'uefi-pxe'), { address: '127.77.99.1' }, 'outside the pool')
  t.match(await ask(other, 'linux'), { address: '127.77.0.1' })
  server.reserve([
    { key: first, address: '127.77.0.1', machine: 'r1' },
    { key: '52:54:00:00:00:09', address: '192.0.2.1', machine: 'r2' }
  ])
  t.match(warned, [
    ['dhcp.reservation-unused', { address: '192.0.2.1' }],
    ['dhcp.reservation-held', { machine: 'r1', address: '127.77.0.1', holder: other }]
  ])
  await t.rejects(ask(first, 'uefi-pxe', { timeoutMs: 100 }), 'it is not taken from who has it')
  t.match(
    events.filter(({ type }) => type === 'dhcp.ignored').map(({ message }) => message),
    [/127.77.0.1, which is kept for it, is leased to 52:54:00:00:00:02 until 2/]
  )
  t.match(await ask(other, 'linux'), { address: '127.77.0.2' }, 'who asks again is moved')
  t.match(await ask(first, 'uefi-pxe'), { address: '127.77.0.1' })
  server.reserve([])
  t.match(await ask(first, 'uefi-pxe'), { address: '127.77.0.1' }, 'it keeps what it has')
  t.ok(saved.length > 4)
})

t.test('a port that is taken, a subnet that does not fit: one sentence', async t => {
  const { server } = await start(t)
  const taken = start(t, { ports: { server: server.ports.server, client: 1, proxy: 0 } })
  await t.rejects(taken, {
    code: 'conflict',
    message: /UDP port \d+ for DHCP on lo \(127.0.0.1\) is taken: stop the other/
  })
  const proxy = start(t, { ports: { server: 0, client: 1, proxy: server.ports.proxy } })
  await t.rejects(proxy, { code: 'conflict' })
  await t.rejects(start(t, { subnets: [] }), { code: 'invalid', message: /no DHCP subnet fits interface lo/ })
  t.throws(() => readInterface('nope0'), { code: 'not_found', message: /no interface nope0: .*lo/ })
})

t.test('where sockets cannot be bound: one interface as ever, several not at all', async t => {
  const warned: unknown[] = []
  const log = { ...silentLog, warn: (event: string, fields?: object) => warned.push([event, fields]) }
  // The system knows no interface of that name, and so refuses.
  const unbound = { ...lo(), interface: { ...readInterface('lo'), name: 'nope0' } }
  const { ask } = await start(t, { attachments: [unbound] }, { log })
  t.match(await ask('52:54:00:00:00:01', 'linux'), { address: '127.77.0.1' })
  t.match(warned[0], ['dhcp.not-bound', { interface: 'nope0', why: /the system refused/, effect: /heard as well/ }])
  await t.rejects(start(t, { attachments: [unbound, lo()] }), {
    code: 'unavailable',
    message: /several interfaces need sockets that are bound to them, but the system refused/
  })
  await t.rejects(start(t, { attachments: [lo({ server: 2, proxy: 2 })] }), {
    code: 'invalid',
    message: /handle 2 for lo is no UDP socket/
  })
})

t.test('any bytes on its sockets: it answers the next client', async t => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32))
  t.comment(`SEED=${seed}`)
  const random = seeded(seed)
  const bugs: unknown[] = []
  const { server, ask, counts } = await start(
    t,
    {},
    { log: { ...silentLog, error: (event, fields) => bugs.push([event, fields]) } }
  )
  const samples = [...readRequests().values()]
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  for (let i = 0; i < 2000; i++) {
    const bytes = Buffer.from(samples[i % samples.length]!)
    for (let times = random() * 8; times > 0; times--) bytes[Math.floor(random() * bytes.length)] = random() * 256
    const cut = random() < 0.2 ? bytes.subarray(0, random() * bytes.length) : bytes
    const port = random() < 0.8 ? server.ports.server : server.ports.proxy
    await new Promise(resolve => socket.send(cut, port, '127.0.0.1', resolve))
    await new Promise(resolve => setImmediate(resolve)) // the receive buffer holds few
  }
  t.match(await ask('52:54:00:00:00:99', 'linux'), { address: /^127\.77/ })
  t.same(
    bugs.filter(bug => JSON.stringify(bug).includes('dhcp.bug')),
    []
  )
  t.ok([...counts.values()].reduce((sum, count) => sum + count, 0) > 500)
})

async function freePort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, '0.0.0.0')
  await once(socket, 'listening')
  const { port } = socket.address()
  await new Promise<void>(resolve => socket.close(() => resolve()))
  return port
}
