// The live server on loopback: with our client, with npm's `tftp`, and with what is no client at all.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import t, { type Test } from 'tap'
import { openBound } from '../../../server/dhcp/bound/socket.ts'
import { decode, encode, type Packet } from '../../../server/tftp/packet.ts'
import type { Carrier } from '../../../server/tftp/carrier.ts'
import { openDgramCarrier } from '../../../server/tftp/dgram/run.ts'
import { openCarrier } from '../../../server/tftp/thread/client.ts'
import { startTftp, type TftpServer, type Transfer } from '../../../server/tftp/server.ts'
import { seeded } from '../../helpers/random.ts'
import { fetchFile, fetchSize } from '../../lab/tftp-client.ts'

const random = seeded(1)
const files: Record<string, Buffer> = {
  'ipxe.efi': Buffer.from(Array.from({ length: 300_000 }, () => random() * 256)),
  empty: Buffer.alloc(0),
  whole: Buffer.alloc(1024, 'x'),
  'grub/grub.cfg': Buffer.from('boot\n')
}

interface Started {
  readonly server: TftpServer
  readonly transfers: Transfer[]
  readonly failures: unknown[]
  readonly asked: string[]
}

const carriers = {
  'a thread': (failed: (error: unknown) => void) => openCarrier(failed),
  'this thread': () => openDgramCarrier()
}
let open: (failed: (error: unknown) => void) => Carrier = carriers['this thread']

async function start(t: Test): Promise<Started> {
  const transfers: Transfer[] = []
  const asked: string[] = []
  const failures: unknown[] = []
  const carrier = open(error => failures.push(error))
  const server = await startTftp('127.0.0.1', 0, {
    read: async (name, peerAddress) => {
      asked.push(`${name} for ${peerAddress}`)
      return Object.hasOwn(files, name) ? files[name]! : null
    },
    done: transfer => void transfers.push(transfer),
    failed: error => void failures.push(error),
    now: () => new Date(),
    carrier
  })
  t.teardown(async () => {
    await server.close()
    await carrier.close()
  })
  return { server, transfers, failures, asked }
}

for (const [way, opener] of Object.entries(carriers)) {
  t.test(`transfers by ${way}`, async t => {
    open = opener
    t.test('files cross loopback', async t => {
      const { server, transfers, failures, asked } = await start(t)
      const from = { server: '127.0.0.1', port: server.port, localAddress: '127.77.0.9' }
      t.equal(await fetchSize({ ...from, name: 'ipxe.efi', blockSize: 1468, windowSize: 4 }), 300_000)
      for (const [name, more] of [
        ['ipxe.efi', { blockSize: 1468, windowSize: 4 }],
        ['//ipxe.efi', { blockSize: 512, windowSize: 16 }],
        ['/grub/grub.cfg', { blockSize: 1024 }],
        ['whole', {}],
        ['empty', {}]
      ] as const) {
        const bytes = await fetchFile({ ...from, name, ...more })
        t.ok(bytes.equals(files[name.replace(/^\/+/, '')]!), name)
      }
      await t.rejects(fetchFile({ ...from, name: 'nope' }), { message: 'TFTP nope: file not found (1)' })
      await t.rejects(fetchFile({ ...from, name: '../etc/passwd' }), { message: /no such name can be served \(2\)/ })
      await t.rejects(fetchFile({ ...from, name: 'toString' }), { message: /file not found/ })
      await server.close()
      t.match(
        transfers.find(({ outcome }) => outcome === 'size asked'),
        { peer: '127.77.0.9', name: 'ipxe.efi', outcome: 'size asked', bytes: 300_000 }
      )
      t.same(
        transfers.map(({ outcome }) => outcome).toSorted(),
        [...Array<string>(5).fill('complete'), 'not found', 'not found', 'refused', 'size asked'],
        'in whatever order they are told'
      )
      t.same(failures, [])
      t.equal(asked.at(-1), 'toString for 127.77.0.9', 'what is read may depend on who asks')
    })

    t.test('npm tftp fetches', async t => {
      const { server } = await start(t)
      const { createClient } = createRequire(import.meta.url)('tftp') as {
        createClient(options: object): { createGetStream(name: string): NodeJS.ReadableStream }
      }
      const stream = createClient({ host: '127.0.0.1', port: server.port }).createGetStream('ipxe.efi')
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      await once(stream, 'end') // it says close first, so it cannot be iterated
      t.ok(Buffer.concat(chunks).equals(files['ipxe.efi']!))
    })

    t.test('writes are refused, garbage is dropped, strangers are not heard', async t => {
      const { server } = await start(t)
      const client = createSocket('udp4').bind(0, '127.0.0.1')
      t.teardown(() => client.close())
      const ask = async (packet: Packet): Promise<[Packet | null, number]> => {
        client.send(encode(packet), server.port, '127.0.0.1')
        const [bytes, from] = (await once(client, 'message')) as [Buffer, { port: number }]
        return [decode(bytes), from.port]
      }
      t.match((await ask({ op: 'wrq', filename: 'ipxe.efi' }))[0], { op: 'error', code: 2 })
      client.send(Buffer.from('garbage'), server.port, '127.0.0.1')
      const [first, port] = await ask({ op: 'rrq', filename: 'whole', mode: 'octet', options: {} })
      t.match(first, { op: 'data', block: 1 })
      const stranger = createSocket('udp4').bind(0, '127.0.0.1')
      t.teardown(() => stranger.close())
      for (const bytes of [
        encode({ op: 'ack', block: 1 }),
        encode({ op: 'error', code: 0, message: '' }),
        Buffer.alloc(0)
      ]) {
        await new Promise(resolve => stranger.send(bytes, port, '127.0.0.1', resolve))
      }
      client.send(Buffer.alloc(1), port, '127.0.0.1')
      client.send(encode({ op: 'ack', block: 1 }), port, '127.0.0.1')
      const [bytes] = (await once(client, 'message')) as [Buffer]
      t.match(decode(bytes), { op: 'data', block: 2 })
    })

    t.test('one client has few transfers at once', async t => {
      const { server, transfers } = await start(t)
      const clients = Array.from({ length: 12 }, () => createSocket('udp4').bind(0, '127.0.0.1'))
      t.teardown(() => clients.forEach(client => client.close()))
      const request = encode({ op: 'rrq', filename: 'whole', mode: 'octet', options: {} })
      for (const client of clients)
        await new Promise(resolve => client.send(request, server.port, '127.0.0.1', resolve))
      await t.rejects(
        fetchFile({ server: '127.0.0.1', port: server.port, name: 'whole', timeoutMs: 50, attempts: 1 }),
        {
          message: /no answer/
        }
      )
      const elsewhere = await fetchFile({
        server: '127.0.0.1',
        port: server.port,
        name: 'whole',
        localAddress: '127.77.0.1'
      })
      t.equal(elsewhere.length, 1024)
      t.ok(transfers.filter(({ outcome }) => outcome === 'busy').length >= 4)
    })

    t.test('any bytes: it serves the next client', async t => {
      const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32))
      t.comment(`SEED=${seed}`)
      const chance = seeded(seed)
      const { server, failures, transfers } = await start(t)
      const socket = createSocket('udp4').bind(0, '127.77.0.2')
      t.teardown(() => socket.close())
      const sample = encode({
        op: 'rrq',
        filename: 'ipxe.efi',
        mode: 'octet',
        options: { blksize: '1468', tsize: '0' }
      })
      for (let i = 0; i < 2000; i++) {
        const bytes = Buffer.from(sample)
        for (let times = chance() * 5; times > 0; times--) bytes[Math.floor(chance() * bytes.length)] = chance() * 256
        const cut = bytes.subarray(0, chance() < 0.3 ? chance() * bytes.length : bytes.length)
        await new Promise(resolve => socket.send(cut, server.port, '127.0.0.1', resolve))
      }
      const after = await fetchFile({ server: '127.0.0.1', port: server.port, name: 'whole' })
      t.equal(after.length, 1024)
      t.ok(transfers.filter(({ outcome }) => outcome === 'ignored').length > 10, 'what is no request is counted')
      t.same(failures, [])
    })
  })
}

t.test('on a socket that was passed', async t => {
  const deps = {
    read: async () => files['whole']!,
    done() {},
    failed() {},
    now: () => new Date(),
    carrier: openDgramCarrier()
  }
  const handle = openBound({ device: 'lo', address: '0.0.0.0', port: 0 }, 'alone')
  const server = await startTftp('127.0.0.1', 69, deps, handle)
  t.teardown(() => server.close())
  t.not(server.port, 69)
  t.equal((await fetchFile({ server: '127.0.0.1', port: server.port, name: 'whole' })).length, 1024)
  await t.rejects(startTftp('127.0.0.1', 69, deps, 2), { code: 'invalid', message: /is no UDP socket over IPv4/ })
})

t.test('a taken port: one sentence', async t => {
  const { server } = await start(t)
  const deps = { read: async () => null, done() {}, failed() {}, now: () => new Date(), carrier: openDgramCarrier() }
  await t.rejects(startTftp('127.0.0.1', server.port, deps), {
    code: 'conflict',
    message: /UDP port \d+ for TFTP on 127.0.0.1 is taken/
  })
  await t.rejects(startTftp('192.0.2.1', 0, deps), { code: 'unavailable', message: /no interface has that address/ })
})
