// Relays: what option 82 says and who believes it, which subnet it chooses, and where each answer goes.

import t from 'tap'
import { MalformedPacket } from '../../../server/dhcp/codec/codec.ts'
import { createAlarms } from '../../../server/dhcp/timeline/alarms.ts'
import { type Context, findSubnet, openSubnets } from '../../../server/dhcp/context.ts'
import { decide, type Decision } from '../../../server/dhcp/engine.ts'
import type { Options } from '../../../server/dhcp/codec/options.ts'
import { encodePacket, messageType, type MessageName, type Packet } from '../../../server/dhcp/codec/packet.ts'
import { decodeRelayAgent, encodeRelayAgent, originOf, type RelayAgent } from '../../../server/dhcp/codec/relay.ts'
import { silentLog } from '../../../server/log.ts'
import { contextOf, distant, hex, now, second, subnet } from '../../helpers/dhcp.ts'
import { seeded } from '../../helpers/random.ts'
import { packetOf } from '../../lab/dhcp-client.ts'

const mac = '52:54:00:00:00:01'

function ask(type: MessageName, options: Options = {}, fields: Partial<Packet> = {}): Packet {
  const packet = packetOf({ mac, asker: 'uefi-pxe' })
  return { ...packet, ...fields, options: { messageType: messageType[type], ...packet.options, ...options } }
}

function reply(decision: Decision) {
  if (decision.kind === 'silence') throw new Error(decision.reason)
  return decision
}

const none: RelayAgent = {
  circuit: null,
  remote: null,
  link: null,
  subscriber: null,
  serverId: null,
  sourcePort: false
}
const pairs: Array<[name: string, bytes: string, agent: RelayAgent]> = [
  ['nothing', '', none],
  [
    'circuit and remote',
    '01 04 65746837 02 05 746f722d31',
    { ...none, circuit: Buffer.from('eth7'), remote: Buffer.from('tor-1') }
  ],
  ['a link', '05 04 0a630001', { ...none, link: '10.99.0.1' }],
  ['a subscriber', '06 02 6131', { ...none, subscriber: Buffer.from('a1') }],
  ['a server identifier', '0b 04 0a630001', { ...none, serverId: '10.99.0.1' }],
  ['a source port', '13 00', { ...none, sourcePort: true }]
]
for (const [name, bytes, agent] of pairs) {
  t.test(`option 82: ${name}`, async t => {
    t.same(decodeRelayAgent(hex(bytes)), agent)
    t.same(encodeRelayAgent(agent), hex(bytes))
  })
}

const refused: Array<[name: string, bytes: string]> = [
  ['a part past the end', '01 05 65746837'],
  ['a code alone', '01 01 61 02'],
  ['a part that comes twice', '01 01 61 01 01 62'],
  ['a link that is no address', '05 03 0a6300'],
  ['a source port with a value', '13 02 0043']
]
for (const [name, bytes] of refused) {
  t.test(`option 82 refuses ${name}`, async t => {
    t.throws(() => decodeRelayAgent(hex(bytes)), MalformedPacket)
    const request = ask('discover', { relayAgent: hex(bytes) }, { relay: '10.77.0.9' })
    t.match(originOf(request), { ...none, relay: '10.77.0.9', port: null }, 'and the packet is as if it had none')
    t.match(reply(decide(request, contextOf())), { packet: { options: { relayAgent: hex(bytes) } } }, 'but echoed')
  })
}

const ports: Array<[name: string, bytes: string, want: object | null]> = [
  ['text', '01 04 65746837 02 05 746f722d31', { switch: 'tor-1', port: 'eth7' }],
  [
    'numbers of a switch',
    '01 06 0004000a0107 02 08 0006 525400aabbcc',
    { switch: '00:06:52:54:00:aa:bb:cc', port: '00:04:00:0a:01:07' }
  ],
  ['text that looks like numbers', '01 05 30303a3034', { switch: '10.77.0.9', port: '30:30:3a:30:34' }],
  ['a short name', '01 02 6430', { switch: '10.77.0.9', port: 'd0' }],
  ['no remote id: the relay is the switch', '01 04 65746837', { switch: '10.77.0.9', port: 'eth7' }],
  ['no circuit id', '02 05 746f722d31', null],
  ['an empty circuit id', '01 00 02 05 746f722d31', null],
  ['hostile text', '01 03 1b5b41', { switch: '10.77.0.9', port: '1b:5b:41' }]
]
for (const [name, bytes, want] of ports) {
  t.test(`switch port: ${name}`, async t => {
    t.same(originOf(ask('discover', { relayAgent: hex(bytes) }, { relay: '10.77.0.9' })).port, want)
    const forged = originOf(ask('discover', { relayAgent: hex(bytes) }))
    t.match(forged, { ...none, relay: null, port: null }, 'nobody passed it on: the client may have written it')
  })
}

t.test(
  'option 82 that no relay wrote: echoed, since a snooping switch takes it out, and believed by nobody',
  async t => {
    const relayAgent = encodeRelayAgent({
      circuit: Buffer.from('eth7'),
      link: '10.99.0.1',
      serverId: '10.99.0.1',
      sourcePort: true
    })
    const { packet, to } = reply(decide(ask('discover', { relayAgent }), contextOf()))
    t.match(packet.options, { relayAgent, serverId: '10.77.0.1' })
    t.same(to, { kind: 'broadcast' })
  }
)

t.test('parts that are unknown come back byte for byte, last', async t => {
  const bytes = '01 01 61 97 05 0072656431 98 00 e0 03 010203'
  const { packet } = reply(decide(ask('discover', { relayAgent: hex(bytes) }, { relay: '10.77.0.9' }), contextOf()))
  t.ok(
    encodePacket(packet)
      .toString('hex')
      .includes(`5211${hex(bytes).toString('hex')}ff`)
  )
})

t.test('which subnet', async t => {
  const subnets = openSubnets([subnet, second, distant], ['10.77.0.1'], [])
  const own = { name: 'br0', address: '10.77.0.1', netmask: '255.255.255.0', loopback: false, scope: null }
  const rows: Array<
    [name: string, relay: string | null, link: string | null, routed: string | null, want: string | null]
  > = [
    ['heard on our wire', null, null, null, '10.77.0.0/24'],
    ['by a relay', '10.99.0.1', null, null, '10.99.0.0/24'],
    ['the link that the relay selects, not its own', '10.77.0.9', '10.99.0.0', null, '10.99.0.0/24'],
    ['a relay that nobody configured', '192.0.2.1', null, null, null],
    ['a link that nobody configured', '10.77.0.9', '192.0.2.1', null, null],
    ['a distant client that renews', null, null, '10.99.0.100', '10.99.0.0/24'],
    ['a client that renews on our wire', null, null, '10.77.0.100', '10.77.0.0/24'],
    ['a stranger that renews', null, null, '192.0.2.7', '10.77.0.0/24']
  ]
  for (const [name, relay, link, routed, want] of rows) {
    t.equal(findSubnet(subnets, own, { relay, link }, routed)?.subnet ?? null, want, name)
  }
})

t.test('a relay that lends us its address: clients know us by it', async t => {
  const relay = { relay: '10.77.0.9' }
  const relayAgent = encodeRelayAgent({ serverId: '10.77.0.9' })
  const { packet } = reply(decide(ask('discover', { relayAgent }, relay), contextOf()))
  t.match(packet, { nextServer: '10.77.0.1', options: { serverId: '10.77.0.9' } })
  const chosen = (serverId: string, more: Options = {}): Decision =>
    decide(ask('request', { serverId, requestedAddress: '10.77.0.100', ...more }, relay), contextOf())
  t.match(reply(chosen('10.77.0.9', { relayAgent })), { type: 'ack', packet: { options: { serverId: '10.77.0.9' } } })
  t.match(reply(chosen('10.77.0.1', { relayAgent })), { type: 'ack' })
  t.match(chosen('10.77.0.9'), { kind: 'silence', reason: /another DHCP server \(10.77.0.9\)/ })
  const declined = { serverId: '10.77.0.9', requestedAddress: '10.77.0.100' }
  t.match(decide(ask('decline', declined, relay), contextOf()), { reason: 'it is said to another server' })
  t.match(decide(ask('decline', { ...declined, relayAgent }, relay), contextOf()), { reason: /does not have/ })
})

// RFC 2131 §4.1, every combination of what decides: message, relay, ciaddr, broadcast flag.
const used = '10.77.0.105'
const mine = {
  address: used,
  mac,
  hostname: null,
  grantedAt: now,
  expiresAt: new Date(now.getTime() + 9e5),
  state: 'bound'
} as const
for (const type of ['discover', 'request', 'inform', 'nak'] as const) {
  for (const relay of ['0.0.0.0', '10.77.0.9']) {
    for (const ciaddr of ['0.0.0.0', used, '192.0.2.1']) {
      for (const broadcast of [false, true]) {
        t.test(`${type} by ${relay}, ciaddr ${ciaddr}, ${broadcast ? 'broadcast' : 'no'} flag`, async t => {
          const wish = type === 'nak' ? '192.0.2.9' : used
          const options = type === 'request' || type === 'nak' ? { requestedAddress: wish, serverId: '10.77.0.1' } : {}
          const asked = type === 'nak' ? 'request' : type
          const decision = decide(
            ask(asked, options, { relay, clientAddress: ciaddr, broadcast }),
            contextOf({}, [mine])
          )
          if (type === 'inform' && ciaddr !== used) return t.match(decision, { kind: 'silence' }, 'nobody’s address')
          const { to, packet } = reply(decision)
          if (relay !== '0.0.0.0') {
            t.same(to, { kind: 'unicast', address: relay, port: 67 })
            t.equal(packet.broadcast, broadcast || type === 'nak', 'a NAK is broadcast by the relay (§4.3.2)')
          } else if (ciaddr === used && (type === 'request' || type === 'inform')) {
            t.same(to, { kind: 'unicast', address: used, port: 68 })
          } else
            t.same(to, { kind: 'broadcast' }, 'it cannot answer for its address yet, or names one it does not have')
          t.equal(packet.relay, relay)
        })
      }
    }
  }
}

t.test('a relay on another port is answered there', async t => {
  const peer = { address: '10.77.0.9', port: 10067 }
  const to = (relayAgent: Buffer, changes: Partial<Context> = {}) =>
    reply(decide(ask('discover', { relayAgent }, { relay: '10.77.0.9' }), contextOf({ peer, ...changes }))).to
  t.match(to(encodeRelayAgent({ sourcePort: true })), { address: '10.77.0.9', port: 10067 })
  t.match(to(encodeRelayAgent({ sourcePort: true }), { mode: 'proxy' }), { address: '10.77.0.9', port: 10067 })
  t.match(to(encodeRelayAgent({})), { address: '10.77.0.9', port: 67 })
})

t.test('TFTP servers for those that ask for option 150', async t => {
  const options = (parameterList: number[]) =>
    reply(decide(ask('discover', { parameterList }), contextOf())).packet.options
  t.same(options([1, 3, 150]).tftpServers, ['10.77.0.1'])
  t.equal(options([1, 3]).tftpServers, undefined)
})

t.test('what the operator must hear of: once, or once a minute', async t => {
  const told: string[] = []
  const warned: unknown[] = []
  let at = now.getTime()
  const log = { ...silentLog, warn: (event: string, fields?: object) => void warned.push([event, fields]) }
  const raise = createAlarms({ now: () => new Date(at), log, told: ({ type }) => void told.push(type) })
  const full = openSubnets([{ ...subnet, pool: { first: '10.77.0.105', last: '10.77.0.105' } }], [], [mine])[0]!
  for (let i = 0; i < 3; i++) {
    for (const context of [contextOf({ subnet: full }), contextOf({ subnet: null })]) {
      const request = { ...ask('discover', {}, { relay: '10.77.0.9' }), mac: `52:54:00:00:00:1${i}` }
      const decision = decide(request, context)
      if (decision.kind === 'reply' || decision.alarm === null) return t.fail('answered')
      raise(decision.alarm, decision.reason)
    }
    at += i === 0 ? 1000 : 60_000
  }
  t.same(told, ['dhcp.exhausted', 'dhcp.exhausted'])
  t.match(warned, [
    ['dhcp.exhausted', { about: '10.77.0.0/24' }],
    ['dhcp.no-subnet', { about: 'relay 10.77.0.9' }],
    ['dhcp.exhausted', {}]
  ])
  for (let i = 0; i < 1000; i++) raise({ kind: 'no-subnet', about: `relay ${i}` }, '')
  t.ok(warned.length < 300, 'and relays that somebody forges do not fill the log')
})

t.test('any bytes as option 82', async t => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32))
  t.comment(`SEED=${seed}`)
  const random = seeded(seed)
  for (let i = 0; i < 20_000; i++) {
    const relayAgent = Buffer.from(Array.from({ length: random() * 20 }, () => random() * (random() < 0.5 ? 12 : 256)))
    const request = ask('discover', { relayAgent }, { relay: '10.77.0.9' })
    const { port } = originOf(request)
    if (port !== null && !/^[\x20-\x7e]+ [\x20-\x7e]+$/.test(`${port.switch} ${port.port}`))
      t.fail(JSON.stringify(port))
    if (i % 20 === 0) t.same(reply(decide(request, contextOf())).packet.options.relayAgent, relayAgent)
  }
})
