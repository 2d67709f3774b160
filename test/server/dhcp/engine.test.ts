// What each request is answered, as tables. A row reads: in this state, this request, gets that.

import t from 'tap'
import type { Lease } from '../../../server/core/allocation.ts'
import { hold, record } from '../../../server/core/allocation.ts'
import type { Context } from '../../../server/dhcp/context.ts'
import { findSubnet, openSubnets } from '../../../server/dhcp/context.ts'
import { decide, type Decision } from '../../../server/dhcp/engine.ts'
import { findFirmware } from '../../../server/dhcp/firmware/firmware.ts'
import { createHolders } from '../../../server/dhcp/timeline/holders.ts'
import { encodeNested, readNested } from '../../../server/dhcp/codec/nested.ts'
import type { Options } from '../../../server/dhcp/codec/options.ts'
import {
  decodePacket,
  encodePacket,
  messageType,
  type MessageName,
  type Packet
} from '../../../server/dhcp/codec/packet.ts'
import { limitEvents, tell } from '../../../server/dhcp/timeline/story.ts'
import { type Asker, packetOf } from '../../lab/dhcp-client.ts'
import { contextOf, hex, now, readRequests, subnet } from '../../helpers/dhcp.ts'

const mac = '52:54:00:00:00:01'
const other = '52:54:00:00:00:02'

function ask(type: MessageName, options: Options = {}, fields: Partial<Packet> = {}, asker: Asker = 'linux'): Packet {
  const packet = packetOf({ mac, asker })
  return { ...packet, ...fields, options: { messageType: messageType[type], ...packet.options, ...options } }
}

function lease(address: string, owner: string, changes: Partial<Lease> = {}): Lease {
  const expiresAt = new Date(now.getTime() + 1000)
  return { address, mac: owner, hostname: null, grantedAt: now, expiresAt, state: 'bound', ...changes }
}

/** A decision as one line. */
function line(decision: Decision): string {
  if (decision.kind === 'silence') {
    return `silence: ${decision.reason}${decision.lease === null ? '' : ` [${decision.lease.state}]`}`
  }
  const { packet, to, type } = decision
  const where = to.kind === 'broadcast' ? 'broadcast' : `${to.address}:${to.port}`
  const given = decision.lease === null ? '' : ` lease ${(decision.lease.expiresAt.getTime() - now.getTime()) / 1000}`
  const held = decision.hold === null ? '' : ' held'
  return `${type} ${packet.yourAddress} to ${where}${given}${held}`
}

const ours = { serverId: '10.77.0.1' }
const mine = [lease('10.77.0.105', mac)]
const theirs = [lease('10.77.0.105', other)]
const full = Array.from({ length: 10 }, (_, i) => lease(`10.77.0.${100 + i}`, `52:54:00:00:01:0${i}`))
const using = (address: string): Partial<Packet> => ({ clientAddress: address })

const rows: Array<[name: string, leases: Lease[], request: Packet, want: string]> = [
  ['a new machine is offered the first free address', [], ask('discover'), 'offer 10.77.0.100 to broadcast held'],
  [
    'the address it asks for, when that is free',
    [],
    ask('discover', { requestedAddress: '10.77.0.107' }),
    'offer 10.77.0.107 to broadcast held'
  ],
  [
    'another, when it is not',
    theirs,
    ask('discover', { requestedAddress: '10.77.0.105' }),
    'offer 10.77.0.100 to broadcast held'
  ],
  [
    'its own of before, whatever it asks for',
    mine,
    ask('discover', { requestedAddress: '10.77.0.107' }),
    'offer 10.77.0.105 to broadcast held'
  ],
  ['an exhausted pool says so', full, ask('discover'), 'silence: the pool 10.77.0.100-10.77.0.109 is exhausted'],
  [
    'a DISCOVER cannot send its answer elsewhere',
    [],
    ask('discover', {}, using('192.0.2.1')),
    'offer 10.77.0.100 to broadcast held'
  ],
  [
    'selecting us',
    [],
    ask('request', { ...ours, requestedAddress: '10.77.0.100' }),
    'ack 10.77.0.100 to broadcast lease 3600'
  ],
  [
    'nor can a REQUEST',
    [],
    ask('request', { ...ours, requestedAddress: '10.77.0.100' }, using('192.0.2.1')),
    'ack 10.77.0.100 to broadcast lease 3600'
  ],
  [
    'selecting another server',
    [],
    ask('request', { serverId: '10.77.0.2', requestedAddress: '10.77.0.100' }),
    'silence: another DHCP server (10.77.0.2) was chosen'
  ],
  [
    'selecting what another has',
    theirs,
    ask('request', { ...ours, requestedAddress: '10.77.0.105' }),
    'nak 0.0.0.0 to broadcast'
  ],
  [
    'selecting the gateway',
    [],
    ask('request', { ...ours, requestedAddress: '10.77.0.254' }),
    'nak 0.0.0.0 to broadcast'
  ],
  ['selecting nothing', [], ask('request', ours), 'nak 0.0.0.0 to broadcast'],
  [
    'init-reboot with its own',
    mine,
    ask('request', { requestedAddress: '10.77.0.105' }),
    'ack 10.77.0.105 to broadcast lease 3600'
  ],
  [
    'init-reboot with what another has now',
    [...theirs, lease('10.77.0.101', mac)],
    ask('request', { requestedAddress: '10.77.0.105' }),
    'nak 0.0.0.0 to broadcast'
  ],
  [
    'init-reboot from another network',
    [],
    ask('request', { requestedAddress: '192.168.1.5' }),
    'nak 0.0.0.0 to broadcast'
  ],
  [
    'init-reboot of a stranger',
    [],
    ask('request', { requestedAddress: '10.77.0.105' }),
    'silence: no lease of this machine is known'
  ],
  ['renewing', mine, ask('request', {}, using('10.77.0.105')), 'ack 10.77.0.105 to 10.77.0.105:68 lease 3600'],
  [
    'renewing a lease that the store has lost',
    [],
    ask('request', {}, using('10.77.0.105')),
    'ack 10.77.0.105 to 10.77.0.105:68 lease 3600'
  ],
  ['renewing what another has', theirs, ask('request', {}, using('10.77.0.105')), 'nak 0.0.0.0 to broadcast'],
  ['renewing in another network', [], ask('request', {}, using('192.0.2.1')), 'nak 0.0.0.0 to broadcast'],
  ['a request for nothing', [], ask('request'), 'nak 0.0.0.0 to broadcast'],
  [
    'declining its own',
    mine,
    ask('decline', { ...ours, requestedAddress: '10.77.0.105' }),
    'silence: 10.77.0.105 is declined: somebody else uses it [declined]'
  ],
  [
    'declining what another has',
    theirs,
    ask('decline', { ...ours, requestedAddress: '10.77.0.105' }),
    'silence: it declines an address that it does not have'
  ],
  ['releasing its own', mine, ask('release', ours, using('10.77.0.105')), 'silence: 10.77.0.105 is released [bound]'],
  [
    'releasing what another has',
    theirs,
    ask('release', ours, using('10.77.0.105')),
    'silence: it releases an address that it does not have'
  ],
  ['informing', [], ask('inform', {}, using('10.77.0.7')), 'ack 0.0.0.0 to 10.77.0.7:68'],
  ['informing from elsewhere', [], ask('inform', {}, using('192.0.2.1')), 'silence: 192.0.2.1 is not in the subnet'],
  ['a message that only servers send', [], ask('offer'), 'silence: a client does not send offer'],
  ['BOOTP', [], { ...ask('discover'), options: {} }, 'silence: it has no DHCP message type'],
  ['a reply', [], { ...ask('offer'), op: 'reply' }, 'silence: it is a reply of another server'],
  ['by a relay', [], ask('discover', {}, { relay: '10.77.0.200' }), 'offer 10.77.0.100 to 10.77.0.200:67 held']
]
for (const [name, leases, request, want] of rows) {
  t.test(name, async t => t.equal(line(decide(request, contextOf({}, leases))), want))
}

t.test('a relay gets its option back, last', async t => {
  const relayAgent = hex('01 04 00010203')
  const decision = decide(ask('discover', { relayAgent }, { relay: '10.77.0.200', hops: 1 }), contextOf())
  if (decision.kind !== 'reply') return t.fail('no reply')
  t.match(decision.packet, { relay: '10.77.0.200', options: { relayAgent } })
  t.match(encodePacket(decision.packet).toString('hex'), /5206010400010203ff/)
})

t.test('no subnet for that relay', async t => {
  const subnets = openSubnets([subnet], ['10.77.0.1'], [])
  const own = { name: 'eth1', address: '10.77.0.1', netmask: '255.255.255.0', loopback: false, scope: null }
  const lo = { ...own, name: 'lo', address: '10.0.0.1', netmask: '255.0.0.0' }
  const here = { relay: null, link: null }
  t.equal(findSubnet(subnets, own, here)?.subnet, subnet.subnet)
  t.equal(findSubnet(subnets, own, { relay: '10.77.0.9', link: null })?.subnet, subnet.subnet)
  t.equal(findSubnet(subnets, own, { relay: '10.78.0.9', link: null }), null)
  t.equal(findSubnet(subnets, lo, here)?.subnet, subnet.subnet, 'a subnet inside the network of the interface')
  t.equal(findSubnet(subnets, { ...own, address: '10.78.0.1' }, here), null)
  t.equal(
    line(decide(ask('discover'), contextOf({ subnet: null }))),
    'silence: no subnet is configured for the network of 10.77.0.1'
  )
})

t.test('machines that come at once are offered different addresses', async t => {
  const context = contextOf()
  const { index } = context.subnet!
  const given = Array.from({ length: 11 }, (_, i) => {
    const each = `52:54:00:00:02:${String(i).padStart(2, '0')}`
    const decision = decide({ ...ask('discover'), mac: each }, context)
    if (decision.kind === 'silence') return decision.reason
    hold(index, each, decision.hold!.address, decision.hold!.until)
    return decision.packet.yourAddress
  })
  t.equal(new Set(given).size, 11)
  t.match(given[10], /exhausted/)
  const later = contextOf({ subnet: context.subnet, now: new Date(now.getTime() + 61_000) })
  t.match(line(decide(ask('discover'), later)), /^offer 10.77.0.10/, 'and offers that nobody took up end')
})

t.test('a declined address rests, then is given again', async t => {
  const context = contextOf({}, mine)
  const decision = decide(ask('decline', { ...ours, requestedAddress: '10.77.0.105' }), context)
  record(context.subnet!.index, decision.lease!)
  t.equal(
    line(decide(ask('discover', { requestedAddress: '10.77.0.105' }), context)),
    'offer 10.77.0.100 to broadcast held'
  )
  const later = contextOf({ subnet: context.subnet, now: new Date(now.getTime() + 3_600_000) })
  t.equal(
    line(decide({ ...ask('discover', { requestedAddress: '10.77.0.105' }), mac: other }, later)),
    'offer 10.77.0.105 to broadcast held'
  )
})

// Real firmware: what it boots, and which of its options the answer must carry.
const script = 'http://10.77.0.1:8080/boot/ipxe'
const assets = 'http://10.77.0.1:8080/assets/boot'
const booted: Array<[name: string, kind: string | null, file: string, want: Options]> = [
  ['QEMU 2019 BIOS ROM discovers', 'old-ipxe', 'undionly.kpxe', { ipxe: hex('b0 01 01') }],
  ['QEMU 2019 BIOS ROM requests', 'old-ipxe', 'undionly.kpxe', {}],
  ['iPXE 2025 on BIOS discovers', 'ipxe', script, { ipxe: hex('b0 01 01') }],
  ['OVMF PXE discovers', 'pxe', 'snponly.efi', { tftpServerName: '10.77.0.1' }],
  ['OVMF PXE requests', 'pxe', 'snponly.efi', {}],
  ['OVMF HTTP discovers', 'http', `${assets}/ipxe.efi`, { vendorClass: 'HTTPClient' }],
  ['iPXE 2019 on UEFI discovers', 'old-ipxe', 'snponly.efi', {}],
  ['iPXE 2025 on UEFI discovers', 'ipxe', script, {}],
  ['AAVMF PXE discovers', 'pxe', 'ipxe-arm64.efi', {}],
  ['AAVMF HTTP discovers', 'http', `${assets}/ipxe-arm64.efi`, { vendorClass: 'HTTPClient' }],
  ['iPXE 2025 on arm64 discovers', 'ipxe', script, {}],
  ['an installed Linux discovers', null, '', {}]
]
const requests = readRequests()
for (const [name, kind, file, want] of booted) {
  t.test(name, async t => {
    const request = decodePacket(requests.get(name)!)
    t.same(decodePacket(encodePacket(request)), request, 'reads the same after writing')
    t.equal(findFirmware(request)?.kind ?? null, kind)
    const asked =
      request.options.serverId === undefined
        ? request
        : { ...request, options: { ...request.options, serverId: '10.77.0.1', requestedAddress: '10.77.0.100' } }
    const decision = decide(asked, contextOf())
    if (decision.kind !== 'reply') return t.fail(decision.reason)
    const { packet } = decision
    t.equal(packet.bootFile, file, 'in the header')
    t.equal(packet.options.bootFileName ?? '', file, 'and in option 67')
    t.equal(packet.nextServer, file === '' ? '0.0.0.0' : '10.77.0.1')
    t.equal(packet.yourAddress, '10.77.0.100')
    t.match(packet.options, want)
    t.same(packet.options.clientUuid, request.options.clientUuid, 'RFC 4578 §2.3')
    t.same(packet.options.clientId, request.options.clientId, 'RFC 6842')
    t.notMatch(packet.options, { vendorClass: /PXEClient/ }, 'no class that would make it ask port 4011')
    t.ok(encodePacket(packet).length >= 300 && encodePacket(packet).length <= 548)
    t.equal(tell(request, decision, 'x').length, kind === null ? 0 : name.endsWith('requests') ? 1 : 2)
  })
}

const proxied: Array<[name: string, context: Partial<Context>, want: string, file?: string]> = [
  ['OVMF PXE discovers', {}, 'offer 0.0.0.0 to broadcast', 'snponly.efi'],
  ['OVMF PXE requests', {}, 'silence: another server leases'],
  [
    'OVMF PXE asks the boot service',
    { door: 'proxy', peer: { address: '10.77.0.9', port: 4011 } },
    'ack 0.0.0.0 to 10.77.0.9:4011',
    'snponly.efi'
  ],
  [
    'QEMU 2019 BIOS ROM asks the boot service',
    { door: 'proxy', peer: { address: '10.77.0.9', port: 68 } },
    'ack 0.0.0.0 to 10.77.0.9:68',
    'undionly.kpxe'
  ],
  ['iPXE 2025 on UEFI discovers', {}, 'offer 0.0.0.0 to broadcast', script],
  ['iPXE 2025 on UEFI discovers', { door: 'proxy' }, 'silence: the boot service is not sent discover'],
  ['OVMF HTTP discovers', {}, 'offer 0.0.0.0 to broadcast', `${assets}/ipxe.efi`],
  ['an installed Linux discovers', {}, 'silence: it is no boot client']
]
for (const [name, changes, want, file] of proxied) {
  t.test(`proxy: ${name}`, async t => {
    const decision = decide(decodePacket(requests.get(name)!), contextOf({ mode: 'proxy', subnet: null, ...changes }))
    t.equal(line(decision), want)
    if (decision.kind === 'silence') return
    const { options, bootFile } = decision.packet
    t.same([bootFile, options.bootFileName], [file, file])
    t.equal(options.leaseSeconds ?? options.subnetMask ?? options.routers, undefined, 'nothing of a lease')
    t.equal(options.vendorClass, name.includes('HTTP') ? 'HTTPClient' : 'PXEClient')
    if (!name.includes('HTTP')) t.same(readNested(options.vendorSpecific).get(6), Buffer.of(8))
    if (name.startsWith('QEMU')) t.same(readNested(options.vendorSpecific).get(71), hex('80030000'), 'its boot item')
  })
}

t.test('proxy: whose address a machine takes is told, once it says so', async t => {
  const from = { serverId: '10.77.0.9', requestedAddress: '10.77.0.105' }
  const rows: Array<[name: string, request: Packet, want: string[]]> = [
    ['boot firmware', ask('request', from, {}, 'uefi-pxe'), ['dhcp.request']],
    ['an installed system', ask('request', from), []],
    ['one that renews', ask('request', { requestedAddress: '10.77.0.105' }, {}, 'uefi-pxe'), []],
    ['one that names no address', ask('request', { serverId: '10.77.0.9' }, {}, 'uefi-pxe'), []]
  ]
  const context = contextOf({ mode: 'proxy', subnet: null })
  for (const [name, request, want] of rows) {
    const events = tell(request, decide(request, context), '10.77.0.1')
    t.same(
      events.map(({ type }) => type),
      want,
      name
    )
    if (want.length > 0) t.match(events, [{ mac, detail: { address: '10.77.0.105', from: '10.77.0.9' } }])
  }
})

t.test('who has which address elsewhere is remembered, within bounds', async t => {
  const holders = createHolders()
  const learn = (address: unknown, owner: string | null): void =>
    holders.learn({ type: 'dhcp.request', mac: owner, message: '', detail: { address: address as string } })
  learn('10.77.0.105', other)
  learn('10.77.0.105', mac)
  t.equal(holders.of('10.77.0.105'), mac, 'the last that said so')
  learn(7, mac)
  learn('10.77.0.106', null)
  t.equal(holders.of('10.77.0.106'), undefined)
  for (let n = 0; n < 10_000; n++) learn(`10.78.${n >> 8}.${n & 255}`, other)
  t.equal(holders.of('10.77.0.105'), undefined, 'the oldest goes')
  t.equal(holders.of('10.78.0.0'), other)
})

t.test('proxy: the answer goes to who sent it, whatever relay it names', async t => {
  const peer = { address: '192.0.2.7', port: 67 }
  for (const relay of ['10.9.0.1', peer.address]) {
    const request = ask('discover', {}, { relay }, 'uefi-pxe')
    t.equal(line(decide(request, contextOf({ mode: 'proxy', peer }))), 'offer 0.0.0.0 to 192.0.2.7:67')
  }
})

t.test('unknown architectures are leased an address and told nothing to boot', async t => {
  const request = ask('discover', { clientArch: [77] }, {}, 'uefi-pxe')
  const decision = decide(request, contextOf())
  t.match(decision, { boot: { by: 'none', reason: 'no boot program for architecture 77' }, packet: { bootFile: '' } })
  t.match(tell(request, decision, 'x')[1], { type: 'dhcp.offer', level: 'warning', message: /no boot file/ })
})

t.test('a reply never exceeds what the client takes', async t => {
  const huge = {
    clientId: Buffer.alloc(400),
    clientUuid: Buffer.alloc(400),
    vendorSpecific: encodeNested([[71, Buffer.alloc(200)]])
  }
  for (const maxMessageSize of [0, 576, 65280]) {
    const decision = decide(ask('discover', { ...huge, maxMessageSize }, {}, 'uefi-pxe'), contextOf())
    if (decision.kind !== 'reply') return t.fail('no reply')
    t.ok(encodePacket(decision.packet).length <= (maxMessageSize > 576 ? 1472 : 548), `asked for ${maxMessageSize}`)
    t.equal(decision.packet.options.bootFileName, 'snponly.efi')
  }
})

t.test('a host name is kept when it is one', async t => {
  for (const [hostname, want] of [
    ['Node-1', 'node-1'],
    ['a b', null],
    ['$(reboot)', null],
    ['', null]
  ] as const) {
    const decision = decide(ask('request', { ...ours, requestedAddress: '10.77.0.100', hostname }), contextOf())
    t.equal(decision.lease?.hostname, want)
  }
})

t.test('a flood of boots does not flood the timeline', async t => {
  let at = now
  let seen = 0
  let dropped = 0
  const told = limitEvents({ now: () => at, seen: () => (seen += 1), count: () => (dropped += 1) })
  for (let i = 0; i < 12_000; i++) told({ type: 'dhcp.discover', message: '' })
  t.same([seen, dropped], [10_000, 2000])
  at = new Date(now.getTime() + 60_000)
  told({ type: 'dhcp.discover', message: '' })
  t.equal(seen, 10_001)
})
