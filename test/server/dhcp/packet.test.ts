// The codec: each table row reads both ways, then what is tolerated, what is refused, and what chance finds.

import { createRequire } from 'node:module'
import t from 'tap'
import { MalformedPacket } from '../../../server/dhcp/codec/codec.ts'
import { decide } from '../../../server/dhcp/engine.ts'
import { encodeNested, encodeUuid, readNested, userClasses, uuidOf } from '../../../server/dhcp/codec/nested.ts'
import { decodeOptions, encodeOptions, type Options, readOptions } from '../../../server/dhcp/codec/options.ts'
import { decodePacket, encodePacket, type Packet } from '../../../server/dhcp/codec/packet.ts'
import { contextOf, hex, readRequests } from '../../helpers/dhcp.ts'
import { seeded } from '../../helpers/random.ts'

const decode = (...areas: string[]): Options => decodeOptions(readOptions(areas.map(hex)))

const pairs: Array<[name: string, bytes: string, options: Options]> = [
  ['nothing', 'ff', {}],
  ['one byte', '35 01 01  ff', { messageType: 1 }],
  ['an address', '36 04 0a000001  ff', { serverId: '10.0.0.1' }],
  ['two addresses', '06 08 01010101 08080808  ff', { dnsServers: ['1.1.1.1', '8.8.8.8'] }],
  ['a text', '0c 03 6e3031  ff', { hostname: 'n01' }],
  [
    '53 and 54 first, 82 last',
    '35 01 05  36 04 0a000001  33 04 00000e10  52 02 0100  ff',
    {
      relayAgent: hex('0100'),
      leaseSeconds: 3600,
      serverId: '10.0.0.1',
      messageType: 5
    }
  ],
  ['an empty value', '2b 00  ff', { vendorSpecific: Buffer.alloc(0) }],
  ['architectures', '5d 04 0007 0010 ff', { clientArch: [7, 16] }]
]
for (const [name, bytes, options] of pairs) {
  t.test(name, async t => {
    t.same(decode(bytes), options)
    t.equal(encodeOptions(options).toString('hex'), hex(bytes).toString('hex'))
  })
}

const tolerated: Array<[name: string, areas: string[], options: Options]> = [
  ['padding between options', ['00 00 35 01 01 00 ff'], { messageType: 1 }],
  ['a missing end mark', ['35 01 01'], { messageType: 1 }],
  ['bytes after the end mark', ['35 01 01 ff 03 ff'], { messageType: 1 }],
  ['an unknown code', ['fe 01 00 35 01 01 ff'], { messageType: 1 }],
  ['a text that ends with NUL', ['3c 05 5058450000 ff'], { vendorClass: 'PXE' }],
  ['one value in two pieces', ['0c 02 6e30 0c 01 31 ff'], { hostname: 'n01' }],
  ['one value across two areas', ['0c 02 6e30 ff', '0c 01 31 ff'], { hostname: 'n01' }]
]
for (const [name, areas, options] of tolerated) {
  t.test(`tolerates ${name}`, async t => t.same(decode(...areas), options))
}

const refused: Array<[name: string, bytes: string, message: RegExp]> = [
  ['a length past the end', '35 04 01', /option 53 runs past/],
  ['a code without a length', '35', /option 53 runs past/],
  ['a wrong size', '36 03 0a0000 ff', /option 54 \(serverId\)/],
  ['a ragged list', '06 05 0101010108 ff', /option 6 \(dnsServers\)/]
]
for (const [name, bytes, message] of refused) {
  t.test(`refuses ${name}`, async t =>
    t.type(
      t.throws(() => decode(bytes), { message }),
      MalformedPacket
    )
  )
}

t.test('a value over 255 bytes is cut and joined again', async t => {
  const userClass = Buffer.alloc(600, 'x')
  t.same(decodeOptions(readOptions([encodeOptions({ userClass })])), { userClass })
})

const classes: Array<[bytes: string, want: string[]]> = [
  ['69505845', ['iPXE']], // as iPXE sends it
  ['04 69505845', ['iPXE']], // as RFC 3004 wants it
  ['04 69505845 02 6162', ['iPXE', 'ab']],
  ['09 69505845', ['\tiPXE']], // a length that does not fit is no length
  ['', []]
]
for (const [bytes, want] of classes) t.same(userClasses(hex(bytes)), want, `user class ${bytes}`)

t.test('option 97 is little-endian in its first three fields', async t => {
  const bytes = hex('00 0100fe5a 0200 0300 8001 000000000004')
  t.equal(uuidOf(bytes), '5afe0001-0002-0003-8001-000000000004')
  t.same(encodeUuid('5afe0001-0002-0003-8001-000000000004'), bytes)
  for (const wrong of ['', '00', '01 0100fe5a 0200 0300 8001 000000000004']) t.equal(uuidOf(hex(wrong)), null)
})

t.test('encapsulated options that do not parse count as absent', async t => {
  t.same([...readNested(encodeNested([[6, Buffer.of(8)]]))], [[6, Buffer.of(8)]])
  t.equal(readNested(hex('06 09 08')).size, 0)
})

t.test('overload: file and sname hold options', async t => {
  const plain = readRequests().get('an installed Linux discovers')!
  const bytes = Buffer.concat([plain.subarray(0, 240), hex('35 01 01 34 01 03 ff')])
  bytes.set(hex('0c 02 6e30 ff'), 108) // file is read first (RFC 3396 §7)
  bytes.set(hex('0c 01 31 ff'), 44)
  const packet = decodePacket(bytes)
  t.match(packet, { bootFile: '', serverName: '', options: { messageType: 1, hostname: 'n01' } })
})

const broken: Array<[name: string, change: (bytes: Buffer) => Buffer]> = [
  ['nothing at all', () => Buffer.alloc(0)],
  ['a header cut short', bytes => bytes.subarray(0, 239)],
  ['a wrong cookie', bytes => changed(bytes, 236, 0)],
  ['an unknown op', bytes => changed(bytes, 0, 3)],
  ['InfiniBand', bytes => changed(bytes, 1, 32)],
  ['a giant', bytes => Buffer.concat([bytes], 60_000)]
]
for (const [name, change] of broken) {
  t.test(`no packet: ${name}`, async t => {
    t.throws(() => decodePacket(change(Buffer.from([...readRequests().values()][0]!))), MalformedPacket)
  })
}

t.test('the npm codec reads what we write, and we what it writes', async t => {
  const other = createRequire(import.meta.url)('dhcp/lib/protocol.js') as {
    parse(bytes: Buffer): {
      xid: number
      yiaddr: string
      chaddr: string
      file: string
      options: Record<number, unknown>
    }
    format(packet: object): { buffer: Buffer } | Buffer
  }
  const ours: Packet = {
    op: 'reply',
    hops: 0,
    transaction: 0xdeadbeef,
    seconds: 0,
    broadcast: true,
    clientAddress: '0.0.0.0',
    yourAddress: '10.0.0.9',
    nextServer: '10.0.0.1',
    relay: '0.0.0.0',
    mac: '52:54:00:00:00:01',
    serverName: '',
    bootFile: 'a.efi',
    options: {
      messageType: 2,
      serverId: '10.0.0.1',
      leaseSeconds: 3600,
      subnetMask: '255.255.255.0',
      routers: ['10.0.0.1']
    }
  }
  const parsed = other.parse(encodePacket(ours))
  t.match(parsed, { xid: 0xdeadbeef, yiaddr: '10.0.0.9', file: 'a.efi' })
  t.match(parsed.options, { 53: 2, 54: '10.0.0.1', 51: 3600, 1: '255.255.255.0', 3: ['10.0.0.1'] })
  t.equal(parsed.chaddr.toLowerCase().replaceAll('-', ':'), ours.mac)
})

t.test('any bytes are decoded or refused, and what is decoded is answered or not', async t => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32))
  t.comment(`SEED=${seed}`)
  const random = seeded(seed)
  const samples = [...readRequests().values()]
  const tally = { decoded: 0, refused: 0, answered: 0 }
  const contexts = [contextOf(), contextOf({ mode: 'proxy' }), contextOf({ mode: 'proxy', door: 'proxy' })]
  for (let i = 0; i < 50_000; i++) {
    const bytes = mutated(samples[Math.floor(random() * samples.length)]!, random)
    try {
      const packet = decodePacket(bytes)
      tally.decoded += 1
      const again = decodePacket(encodePacket(packet))
      if (i % 50 === 0) t.same(again.options, packet.options)
      const decision = decide(packet, contexts[i % 3]!)
      if (decision.kind === 'reply') {
        tally.answered += 1
        decodePacket(encodePacket(decision.packet))
      }
    } catch (error) {
      if (!(error instanceof MalformedPacket)) throw error
      tally.refused += 1
    }
  }
  t.comment(JSON.stringify(tally))
  t.ok(tally.decoded > 1000 && tally.refused > 1000 && tally.answered > 1000)
})

function mutated(sample: Buffer, random: () => number): Buffer {
  const bytes = Buffer.from(sample)
  const below = (limit: number): number => Math.floor(random() * limit)
  if (random() < 0.1) return Buffer.from(Array.from({ length: below(600) }, () => below(256)))
  for (let times = below(6); times > 0; times--)
    bytes[random() < 0.7 ? 240 + below(bytes.length - 240) : below(bytes.length)] = below(256)
  return random() < 0.2 ? bytes.subarray(0, below(bytes.length)) : bytes
}

function changed(bytes: Buffer, at: number, value: number): Buffer {
  bytes[at] = value
  return bytes
}
