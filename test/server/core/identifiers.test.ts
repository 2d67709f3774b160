// By what documents know machines, and what that gives a machine that asks for an address.

import t from 'tap'
import type { MachineSpec } from '../../../server/contract/document.ts'
import { createIndex, findAddress, hold, type Lease, mayHold, record } from '../../../server/core/allocation.ts'
import { checkDocuments, checkReferences } from '../../../server/core/documents.ts'
import { clientIdKey, keysOf, keysOfMachine, portKey, uuidKey } from '../../../server/core/identifiers.ts'
import type { LeaseIndex } from '../../../server/core/lease-index.ts'
import { findRivals, identifierFor, type Reservation, reserve } from '../../../server/core/reservations.ts'
import { matchRule, positionFor } from '../../../server/core/rules.ts'
import { machineOf } from '../boot/fixtures.ts'

const uuid = '4c4c4544-0051-3510-8052-b4c04f4a4d32'
const keys: Array<[name: string, spec: MachineSpec, want: string[]]> = [
  ['a hardware address, in any spelling', { macs: ['AA-BB-CC-00-00-01'] }, ['aa:bb:cc:00:00:01']],
  ['a client identifier as bytes', { clientId: '01:52:54:00:00:00:0A' }, ['client id 01:52:54:00:00:00:0a']],
  ['a client identifier as text', { clientId: 'ab' }, ['client id 61:62', 'client id 00:61:62']],
  ['a UUID', { uuid: uuid.toUpperCase() }, [`uuid ${uuid}`]],
  ['a UUID that is on every board', { uuid: '03000200-0400-0500-0006-000700080009' }, []],
  ['a switch port', { switchPort: { switch: 'tor-1', port: 'Gi1/0/7' } }, ['switch port tor-1/Gi1/0/7']],
  ['a switch port as one text', { switchPort: 'tor-1/Gi1/0/7' }, ['switch port tor-1/Gi1/0/7']],
  [
    'all of them, strongest first',
    { switchPort: 'a/1', uuid, clientId: 'ff:01', macs: ['aa:bb:cc:00:00:01'] },
    ['aa:bb:cc:00:00:01', 'client id ff:01', `uuid ${uuid}`, 'switch port a/1']
  ]
]
for (const [name, spec, want] of keys) t.test(name, async t => t.same(keysOf(spec), want))

t.test('a packet and a recorded machine lead to the same', async t => {
  t.equal(clientIdKey(Buffer.from([1, 0x52, 0x54])), 'client id 01:52:54')
  t.equal(portKey({ switch: 'tor-1', port: 'Gi1/0/7' }), 'switch port tor-1/Gi1/0/7')
  const plug = { switch: 'a', port: '1', relay: '10.0.0.1', mac: 'aa:bb:cc:00:00:01', at: '' }
  const machine = machineOf({ macs: ['aa:bb:cc:00:00:01'], switchPort: plug })
  t.same(keysOfMachine({ ...machine, hardware: { ...machine.hardware, uuid } }), [
    'aa:bb:cc:00:00:01',
    `uuid ${uuid}`,
    'switch port a/1'
  ])
  for (const blank of [null, '', 'x', '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff']) {
    t.equal(uuidKey(blank), null, 'nobody’s')
  }
})

const documentOf = (name: string, spec: object) => ({
  apiVersion: 'slipway.dev/v1',
  kind: 'Machine',
  metadata: { name },
  spec
})
const refused: Array<[spec: object, message: RegExp]> = [
  [{ address: '10.0.0.5' }, /needs one of macs, clientId, uuid, switchPort/],
  [{ uuid: '00000000-0000-0000-0000-000000000000' }, /spec\.uuid: .*vendors ship it on every board/],
  [{ uuid: 'x' }, /spec\.uuid/],
  [{ switchPort: 'tor-1' }, /spec\.switchPort/],
  [{ switchPort: { switch: 'a' } }, /spec\.switchPort/],
  [{ clientId: 'caf\u00e9' }, /spec\.clientId/],
  [{ macs: ['aa:bb:cc:00:00:01'], position: '{row}' }, /spec\.position: \{row\} is unknown; known: \{switch\} \{port\}/]
]
for (const [spec, message] of refused) {
  t.test(`refused: ${JSON.stringify(spec)}`, async t => {
    const checked = checkDocuments([documentOf('r1', spec)])
    if (!('problems' in checked)) return t.fail('accepted')
    t.match(checked.problems.map(({ path, message: text }) => `${path}: ${text}`).join('\n'), message)
  })
}

t.test('what belongs to two machines is refused with both names', async t => {
  const shared: Array<[MachineSpec, MachineSpec, string]> = [
    [{ clientId: 'ab' }, { clientId: '61:62' }, 'client id 61:62'],
    [{ uuid }, { uuid: uuid.toUpperCase() }, `uuid ${uuid}`],
    [{ switchPort: 'a/1' }, { switchPort: { switch: 'a', port: '1' } }, 'switch port a/1']
  ]
  for (const [one, other, key] of shared) {
    const checked = checkDocuments([documentOf('r1', one), documentOf('r2', other)])
    if ('problems' in checked) return t.fail(JSON.stringify(checked.problems))
    t.same(checkReferences(checked.documents), [
      { path: 'Machine/r2: spec', message: `${key} is already Machine/r1's` }
    ])
  }
})

t.test('rules: switch port and place in the rack', async t => {
  const plug = { switch: 'tor-1', port: 'Gi1/0/7', relay: '10.0.0.1', mac: 'aa:bb:cc:00:00:01', at: '' }
  const rule = (switchPort: string) =>
    ({
      apiVersion: 'slipway.dev/v1',
      kind: 'Rule',
      metadata: { name: 'a' },
      spec: { match: { switchPort }, profile: 'w', approve: 'manual', name: 'n' }
    }) as const
  const matched = (pattern: string, machine = machineOf({ switchPort: plug })) =>
    matchRule([rule(pattern)], machine) !== null
  t.ok(matched('tor-1/*'))
  t.ok(matched('TOR-*/gi1/0/7'))
  t.notOk(matched('tor-2/*'))
  t.notOk(matched('*', machineOf()), 'a machine whose port is unknown')
  t.equal(positionFor('row 3, {switch} {port}', plug), 'row 3, tor-1 Gi1/0/7')
  t.equal(positionFor('{switch}', { ...plug, switch: '$&{port}' }), '$&{port}'.replace('{port}', plug.port))
  t.equal(positionFor('{switch}', null), null)
  t.equal(positionFor('r1u7', null), 'r1u7')
})

// Addresses. The machine at port a/1 gets .9, the one with that UUID .8, the one with that MAC .7.
const start = new Date('2026-01-02T03:04:05Z')
const after = (seconds: number): Date => new Date(start.getTime() + seconds * 1000)
const port = 'switch port a/1'
const documents: Reservation[] = [
  { key: port, address: '10.0.0.9', machine: 'by-port' },
  { key: `uuid ${uuid}`, address: '10.0.0.8', machine: 'by-uuid' },
  { key: 'm7', address: '10.0.0.7', machine: 'by-mac' }
]
const open = (leases: Lease[] = []): LeaseIndex =>
  createIndex({ first: '10.0.0.1', last: '10.0.0.3' }, [], leases, documents)
/** Takes what it is given, for 60 seconds, as the engine does. */
function give(index: LeaseIndex, mac: string, shown: string[], at: number): string | null {
  const address = findAddress(index, mac, null, after(at), shown)
  if (address === null) return null
  hold(index, mac, address, after(at + 10))
  const identifier = identifierFor(index, mac, address, shown)
  const known = identifier === undefined ? {} : { identifier }
  record(index, {
    address,
    mac,
    hostname: null,
    grantedAt: after(at),
    expiresAt: after(at + 60),
    state: 'bound',
    ...known
  })
  return address
}

t.test('who gets a kept address', async t => {
  const rows: Array<[name: string, mac: string, shown: string[], want: string]> = [
    ['the machine at that port', 'x', [port], '10.0.0.9'],
    ['the machine with that UUID', 'x', [`uuid ${uuid}`], '10.0.0.8'],
    ['the UUID before the port', 'x', [`uuid ${uuid}`, port], '10.0.0.8'],
    ['the hardware address before both', 'm7', [`uuid ${uuid}`, port], '10.0.0.7'],
    ['nobody else', 'x', ['switch port a/2', 'client id 01:02'], '10.0.0.1']
  ]
  for (const [name, mac, shown, want] of rows) t.equal(give(open(), mac, shown, 0), want, name)
  t.match(findRivals(open(), 'm7', [`uuid ${uuid}`]), [{ machine: 'by-mac' }, { machine: 'by-uuid' }])
  t.equal(findRivals(open(), 'x', [port]), null)
})

t.test('each stage of one machine has the address, whatever it shows', async t => {
  for (const [shown, address] of [
    [[port], '10.0.0.9'],
    [[`uuid ${uuid}`], '10.0.0.8']
  ] as const) {
    const index = open()
    t.equal(give(index, 'x', [...shown], 0), address, 'firmware')
    t.equal(give(index, 'x', [], 10), address, 'the installer')
    t.ok(mayHold(index, 'x', address, after(30)), 'and it renews')
    t.notOk(mayHold(index, 'y', address, after(30)))
    // After a restart the store says by what it was known.
    const held = { address, mac: 'x', hostname: null, grantedAt: start, expiresAt: after(60), state: 'bound' } as const
    t.ok(mayHold(open([{ ...held, identifier: shown[0] }]), 'x', address, after(30)), 'after a restart too')
    t.notOk(mayHold(open([held]), 'x', address, after(30)), 'who had it before the document was written is moved')
  }
})

t.test('a machine is exchanged at its port', async t => {
  const index = open()
  t.equal(give(index, 'old', [port], 0), '10.0.0.9')
  t.equal(give(index, 'new', [port], 10), '10.0.0.1', 'while the old one may live: another address')
  t.ok(mayHold(index, 'new', '10.0.0.1', after(80), [port]), 'which it keeps while it renews')
  t.equal(give(index, 'new', [port], 80), '10.0.0.9', 'and at its next boot it has the port’s')
  t.equal(give(index, 'old', [], 90), '10.0.0.2', 'the old one has lost it')
})

t.test('a machine that is plugged elsewhere leaves its port’s address', async t => {
  const index = open()
  t.equal(give(index, 'x', [port], 0), '10.0.0.9')
  t.notOk(mayHold(index, 'x', '10.0.0.9', after(20), ['switch port a/2']))
  t.equal(give(index, 'x', ['switch port a/2'], 20), '10.0.0.1')
  t.equal(give(index, 'new', [port], 20), '10.0.0.9', 'which is free at once')
})

t.test('a document without an address is remembered all the same', async t => {
  const index = open()
  reserve(index, [{ key: 'client id 01:02', address: null, machine: 'r1' }])
  t.equal(give(index, 'x', ['client id 01:02'], 0), '10.0.0.1')
  t.equal(identifierFor(index, 'x', '10.0.0.1', []), 'client id 01:02')
  t.equal(identifierFor(index, 'y', '10.0.0.1', []), undefined)
})
