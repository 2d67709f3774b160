// Other DHCP servers: which of them is one too many, what is told of them, and that hearsay is bounded.

import t from 'tap'
import { judge } from '../../../server/cli/doctor/network.ts'
import { messageType, type Packet } from '../../../server/dhcp/codec/packet.ts'
import { probeMessage, PROBE_MAC } from '../../../server/dhcp/rivals/message.ts'
import {
  AWAY_MS,
  createRivals,
  hear,
  listServers,
  review,
  rivalNotices,
  type Sighting,
  sightingOfReply,
  sightingOfRequest
} from '../../../server/dhcp/rivals/rivals.ts'

const start = new Date('2026-01-02T03:04:05Z')
const after = (ms: number): Date => new Date(start.getTime() + ms)
const place = { interface: 'eth1', relay: null }

function replyOf(changes: Partial<Packet> = {}, options: Packet['options'] = {}): Packet {
  return {
    ...probeMessage(7),
    op: 'reply',
    ...changes,
    options: { messageType: messageType.offer, serverId: '10.0.0.9', ...options }
  }
}
const gives = (address = '10.0.0.9', changes: Partial<Packet> = {}, options: Packet['options'] = {}): Sighting =>
  sightingOfReply(
    replyOf({ yourAddress: '10.0.0.50', ...changes }, { serverId: address, ...options }),
    place,
    address,
    null
  )
const boots = (address = '10.0.0.8'): Sighting =>
  sightingOfReply(
    replyOf({ bootFile: 'pxelinux.0' }, { serverId: address, vendorClass: 'PXEClient' }),
    place,
    address,
    null
  )
const named = (address: string): Sighting =>
  sightingOfRequest(
    { ...probeMessage(7), mac: '52:54:00:00:00:01', options: { messageType: messageType.request, serverId: address } },
    place,
    new Set(['10.0.0.1'])
  )!

const rows: Array<[name: string, mode: 'authoritative' | 'proxy', heard: Sighting[], rivals: string[]]> = [
  ['alone', 'authoritative', [], []],
  ['one that gives addresses', 'authoritative', [gives()], ['10.0.0.9']],
  ['one that names a boot file only', 'authoritative', [boots()], ['10.0.0.8']],
  ['one that a machine named', 'authoritative', [named('10.0.0.7')], ['10.0.0.7']],
  ['beside a proxy: the one that gives addresses', 'proxy', [gives()], []],
  ['beside a proxy: the one that a machine named', 'proxy', [named('10.0.0.9')], []],
  ['beside a proxy: two that give addresses', 'proxy', [gives(), gives('10.0.0.7')], ['10.0.0.7', '10.0.0.9']],
  ['beside a proxy: another proxy', 'proxy', [gives(), boots()], ['10.0.0.8']],
  ['beside a proxy: addresses and a boot file', 'proxy', [gives('10.0.0.9', { bootFile: 'x.efi' })], ['10.0.0.9']],
  ['the same one twice', 'proxy', [gives(), gives()], []]
]
for (const [name, mode, heard, want] of rows) {
  t.test(`${mode}: ${name}`, async t => {
    const rivals = createRivals(mode)
    const events = heard.flatMap((sighting, i) => hear(rivals, sighting, after(i * 2000)))
    const all = listServers(rivals, after(9000))
    t.same(
      all
        .filter(({ verdict }) => verdict === 'rival')
        .map(({ address }) => address)
        .toSorted(),
      want
    )
    t.same(rivalNotices(rivals, after(9000)).length, want.length)
    t.same(
      events.map(({ type, detail }) => `${type} ${String(detail?.address)}`).toSorted(),
      want.map(each => `dhcp.rival ${each}`)
    )
  })
}

t.test('what it offered is said', async t => {
  const rivals = createRivals('authoritative')
  const packet = replyOf(
    { yourAddress: '10.0.0.50', nextServer: '10.0.0.66', bootFile: 'evil.efi', serverName: 'evil' },
    { subnetMask: '255.255.255.0', routers: ['10.0.0.254'], dnsServers: ['10.0.0.53'], leaseSeconds: 7200 }
  )
  const [event] = hear(rivals, sightingOfReply(packet, place, '10.0.0.9', '52:54:00:00:00:66'), start)
  t.equal(
    event?.message,
    'another DHCP server, 10.0.0.9 (52:54:00:00:00:66, evil), offers 10.0.0.50 (mask 255.255.255.0), router ' +
      '10.0.0.254, DNS 10.0.0.53, boot file evil.efi from 10.0.0.66, for 7200 s on eth1: machines may take their ' +
      'address from it: switch it off, or set dhcp.mode: proxy'
  )
  t.equal(event?.level, 'warning')
  t.match(listServers(rivals, start), [{ client: PROBE_MAC, heard: 'offer', boots: true, present: true }])
  hear(rivals, named('10.0.0.9'), after(5000))
  t.match(
    listServers(rivals, after(5000)),
    [{ offered: '10.0.0.50', bootFile: 'evil.efi' }],
    'hearsay takes nothing back'
  )
})

t.test('told once until it was away', async t => {
  const rivals = createRivals('authoritative')
  t.equal(hear(rivals, gives(), start).length, 1)
  t.same(hear(rivals, gives(), after(60_000)), [])
  t.same(review(rivals, after(60_000 + AWAY_MS - 1)), [])
  t.match(review(rivals, after(60_000 + AWAY_MS)), [{ type: 'dhcp.rival-gone', detail: { address: '10.0.0.9' } }])
  t.same(review(rivals, after(60_001 + AWAY_MS)), [])
  t.same(rivalNotices(rivals, after(60_001 + AWAY_MS)), [])
  t.match(listServers(rivals, after(60_001 + AWAY_MS)), [{ present: false }], 'but it is remembered for a day')
  t.match(hear(rivals, gives(), after(70_000 + AWAY_MS)), [{ type: 'dhcp.rival' }])
  review(rivals, after(48 * 3_600_000))
  t.same(listServers(rivals, after(48 * 3_600_000)), [])
})

t.test('invented servers do not fill the memory, nor hide a real one', async t => {
  const rivals = createRivals('authoritative')
  let told = 0
  for (let i = 0; i < 10_000; i++) told += hear(rivals, named(`10.${i >> 8}.${i & 255}.2`), after(i)).length
  t.equal(rivals.servers.size, 64)
  t.equal(told, 64)
  t.equal(
    hear(rivals, gives('10.0.0.9'), after(10_000)).length,
    1,
    'one that speaks takes the place of one that is named'
  )
  t.equal(rivals.servers.size, 64)
})

t.test('a request that names nobody, us, or everybody is no hearing', async t => {
  const own = new Set(['10.0.0.1'])
  const request = (options: Packet['options']): Packet => ({ ...probeMessage(7), options })
  for (const options of [
    { messageType: messageType.request },
    { messageType: messageType.request, serverId: '10.0.0.1' },
    { messageType: messageType.request, serverId: '255.255.255.255' },
    { messageType: messageType.discover, serverId: '10.0.0.9' }
  ]) {
    t.equal(sightingOfRequest(request(options), place, own), null)
  }
  t.equal(sightingOfRequest({ ...replyOf(), op: 'reply' }, place, own), null)
})

t.test('the doctor says it', async t => {
  const rivals = createRivals('authoritative')
  hear(rivals, gives(), start)
  t.match(judge(rivalNotices(rivals, start), listServers(rivals, start)), [
    { verdict: 'bad', message: /10\.0\.0\.9.* offers 10\.0\.0\.50/ }
  ])
  const away = after(AWAY_MS)
  t.match(judge(rivalNotices(rivals, away), listServers(rivals, away)), [
    { verdict: 'note', message: /heard last at 2026/ }
  ])
  const proxy = createRivals('proxy')
  hear(proxy, gives(), start)
  t.match(judge(rivalNotices(proxy, start), listServers(proxy, start)), [
    { verdict: 'ok', message: /10\.0\.0\.9 on eth1/ }
  ])
  t.match(judge([], []), [{ verdict: 'ok' }])
})
