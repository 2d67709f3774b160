// The decisions without I/O, as tables: lifecycle, identity, rules, boots.

import t from 'tap'
import type { Rule } from '../../../server/contract/document.ts'
import type { Hardware, MachineState } from '../../../server/contract/machine.ts'
import type { Mac } from '../../../server/contract/net.ts'
import { parseMac } from '../../../server/contract/net.ts'
import {
  type Boot,
  decideBoot,
  DELIVERY_LIFETIME_MS,
  isLate,
  mayRead,
  OFFER_LIFETIME_MS
} from '../../../server/core/boots.ts'
import { identify, type Known, usableSerial, usableUuid } from '../../../server/core/identity.ts'
import { advance, may, type MachineEvent } from '../../../server/core/lifecycle.ts'
import { like, matchRule, nameFor } from '../../../server/core/rules.ts'

const noon = new Date('2026-01-02T12:00:00.000Z')

// A row reads: from, on, to; null is a conflict.
const moves: Array<[from: MachineState, on: MachineEvent, to: MachineState | null]> = [
  ['discovered', 'approve', 'approved'],
  ['discovered', 'reject', 'ignored'],
  ['discovered', 'install', null],
  ['ignored', 'approve', 'approved'],
  ['approved', 'install', 'installing'],
  ['approved', 'approve', null],
  ['installing', 'enrol', 'enrolled'],
  ['installing', 'install', 'installing'],
  ['installing', 'join', null],
  ['enrolled', 'join', 'ready'],
  ['ready', 'maintain', 'maintenance'],
  ['ready', 'arm', 'approved'],
  ['maintenance', 'resume', 'ready'],
  ['maintenance', 'arm', null],
  ['failed', 'arm', 'approved'],
  ['failed', 'join', 'ready'],
  ['retired', 'enrol', null],
  ['retired', 'approve', 'approved']
]
for (const [from, on, to] of moves) {
  t.test(`${from} on ${on} is ${to ?? 'a conflict'}`, async t => {
    t.equal(may(from, on), to !== null)
    if (to === null)
      t.throws(() => advance(from, on), { code: 'conflict', message: new RegExp(`cannot ${on} .* ${from}`) })
    else t.equal(advance(from, on), to)
  })
}
const states: MachineState[] = [
  'discovered',
  'ignored',
  'approved',
  'installing',
  'enrolled',
  'ready',
  'maintenance',
  'failed',
  'retired'
]
t.test('any state can be retired and may netboot', async t => {
  for (const state of states) {
    t.equal(advance(state, 'retire'), 'retired')
    t.equal(advance(state, 'seen'), state)
  }
})

const macs: Array<[text: string, mac: string | null]> = [
  ['52:54:00:AA:00:01', '52:54:00:aa:00:01'],
  ['52-54-00-aa-00-01', '52:54:00:aa:00:01'],
  ['5254.00aa.0001', '52:54:00:aa:00:01'],
  ['52:54:00:aa:00', null],
  ['52:54:00:aa:00:zz', null],
  ['', null]
]
for (const [text, mac] of macs) t.test(`MAC ${text}`, async t => t.equal(parseMac(text), mac))

const uuid = '5afe0001-0000-4000-8000-525400aa0001'
const uuids: Array<[text: string | null, usable: string | null]> = [
  [uuid.toUpperCase(), uuid],
  [null, null],
  ['', null],
  ['not a uuid', null],
  ['00000000-0000-0000-0000-000000000000', null],
  ['FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF', null],
  ['03000200-0400-0500-0006-000700080009', null],
  ['11111111-1111-1111-1111-111111111111', null]
]
for (const [text, usable] of uuids) t.test(`UUID ${text}`, async t => t.equal(usableUuid(text), usable))
for (const text of ['', 'Default string', 'To be filled by O.E.M.', '0000', 'N/A', 'Not Specified']) {
  t.test(`serial ${text} tells nobody apart`, async t => t.equal(usableSerial(text), null))
}

const a = { id: 'm-a', macs: ['02:00:00:00:00:0a'], uuid, serial: 'S-A' }
const b = { id: 'm-b', macs: ['02:00:00:00:00:0b'], uuid: '5afe0002-0000-4000-8000-525400aa0001', serial: 'S-B' }
const blank = '00000000-0000-0000-0000-000000000000'
const other = ['02:00:00:00:00:0c'] as Mac[]
const claims: Array<
  [name: string, claim: { macs: Mac[]; uuid: string | null; serial: string | null }, known: Known[], want: string]
> = [
  ['nobody known is new', { macs: other, uuid, serial: null }, [], 'new'],
  ['its MAC', { macs: a.macs as Mac[], uuid: null, serial: null }, [a], 'm-a'],
  ['its UUID behind a new card', { macs: other, uuid, serial: 'S-A' }, [a], 'm-a'],
  ['a MAC of one and a UUID of another', { macs: b.macs as Mac[], uuid, serial: null }, [a, b], 'conflict'],
  ['MACs of two', { macs: [...a.macs, ...b.macs] as Mac[], uuid: null, serial: null }, [a, b], 'conflict'],
  ['a blank UUID shared by two boards', { macs: other, uuid: blank, serial: null }, [{ ...a, uuid: blank }], 'new'],
  ['a MAC although the UUID changed', { macs: a.macs as Mac[], uuid: b.uuid, serial: null }, [a], 'm-a'],
  ['a serial where no UUID contradicts', { macs: other, uuid: blank, serial: 'S-A' }, [{ ...a, uuid: blank }], 'm-a'],
  ['a serial that a UUID contradicts', { macs: other, uuid: b.uuid, serial: 'S-A' }, [a], 'new'],
  [
    'a default serial',
    { macs: other, uuid: null, serial: 'Default string' },
    [{ ...a, uuid: null, serial: 'Default string' }],
    'new'
  ],
  ['a UUID that two have', { macs: other, uuid, serial: null }, [a, { ...b, uuid }], 'conflict']
]
for (const [name, claim, known, want] of claims) {
  t.test(`identity: ${name}`, async t => {
    const got = identify(claim, known)
    t.equal(got.kind === 'known' ? got.id : got.kind, want)
  })
}

const likes: Array<[pattern: string, text: string, want: boolean]> = [
  ['Dell*', 'Dell Inc.', true],
  ['dell*', 'DELL', true],
  ['*640', 'PowerEdge R640', true],
  ['a*a', 'a', false],
  ['a*b*c', 'axxbyyc', true],
  ['a*b*c', 'acb', false],
  ['*', '', true],
  ['', '', true],
  ['x', 'xx', false],
  ['a**b', 'ab', true],
  ['a.c', 'abc', false]
]
for (const [pattern, text, want] of likes)
  t.test(`${text} like ${pattern}`, async t => t.equal(like(pattern, text), want))
t.test('a hostile pattern takes linear time', async t => {
  t.equal(like(`${'a*'.repeat(120)}b`, 'a'.repeat(200_000)), false)
})

const hardware: Hardware = {
  uuid,
  serial: 'S-A',
  manufacturer: 'Dell Inc.',
  product: 'R640',
  asset: null,
  arch: 'x86_64',
  platform: 'uefi'
}
const subject = { id: 'm-00000001', macs: a.macs, hardware, switchPort: null }
function rule(name: string, match: Rule['spec']['match'], priority = 0): Rule {
  return {
    apiVersion: 'slipway.dev/v1',
    kind: 'Rule',
    metadata: { name },
    spec: { match, profile: 'worker', approve: 'auto', name: 'n{number}', priority }
  }
}
const ruleRows: Array<[name: string, rules: Rule[], want: string | null]> = [
  ['none matches', [rule('hp', { manufacturer: 'HP*' })], null],
  ['all conditions must hold', [rule('x', { manufacturer: 'Dell*', arch: 'arm64' })], null],
  ['by name when priorities are equal', [rule('b', {}), rule('a', {})], 'a'],
  ['by priority first', [rule('a', {}), rule('b', {}, 5)], 'b'],
  ['an unknown fact matches no pattern', [rule('x', { asset: '*' })], null],
  ['any of its MACs', [rule('x', { mac: '02:00:00:*' })], 'x']
]
for (const [name, rules, want] of ruleRows) {
  t.test(`rules: ${name}`, async t => t.equal(matchRule(rules, subject)?.metadata.name ?? null, want))
}
const names: Array<[pattern: string, serial: string | null, want: string]> = [
  ['node-{number}', null, 'node-7'],
  ['{serial}', 'AB/12 34', 'ab-12-34'],
  ['{serial}', "';$(reboot)\n", 'reboot'],
  ['{serial}', '\u0000\u{1F4A9}', 'm-00000001'],
  ['{mac}', null, '02000000000a'],
  ['x{unknown}', null, 'x-unknown']
]
for (const [pattern, serial, want] of names) {
  t.test(`name ${pattern} of ${JSON.stringify(serial)}`, async t => {
    const given = { ...rule('r', {}), spec: { ...rule('r', {}).spec, name: pattern } }
    t.equal(nameFor(given, { ...subject, hardware: { ...hardware, serial } }, 7), want)
  })
}

const boot: Boot = {
  id: 'b-1',
  machine: 'm-1',
  state: 'offered',
  address: '10.0.0.5',
  createdAt: noon,
  deliveredAt: null
}
const answers: Array<[state: MachineState, armed: boolean, boot: Boot | null, blocked: string | null, want: string]> = [
  ['discovered', false, null, null, 'hold'],
  ['approved', true, null, null, 'install'],
  ['approved', true, null, 'no kernel', 'hold'],
  ['approved', false, null, null, 'local'],
  ['installing', false, boot, null, 'install'],
  ['installing', false, { ...boot, state: 'delivered' }, null, 'local'],
  ['installing', false, null, null, 'local'],
  ['ignored', true, null, null, 'local'],
  ['enrolled', true, null, null, 'local'],
  ['ready', true, null, null, 'local'],
  ['maintenance', false, null, null, 'local'],
  ['failed', true, null, null, 'local'],
  ['retired', true, null, null, 'local']
]
for (const [state, armed, last, blocked, want] of answers) {
  t.test(`a machine ${state}${armed ? ', armed' : ''}, boot ${last?.state ?? 'none'} is answered ${want}`, async t => {
    t.equal(decideBoot({ state, armed }, last, blocked).kind, want)
  })
}

const later = (ms: number): Date => new Date(noon.getTime() + ms)
const readings: Array<[name: string, boot: Partial<Boot>, address: string, now: Date, want: string]> = [
  ['the boot that was offered it', {}, '10.0.0.5', noon, 'serve'],
  ['the same address again', { state: 'delivered', deliveredAt: noon }, '10.0.0.5', later(1000), 'serve'],
  ['a second address', {}, '10.0.0.6', noon, 'alarm'],
  ['a second address after delivery', { state: 'delivered', deliveredAt: noon }, '10.0.0.6', noon, 'alarm'],
  ['after the machine enrolled', { state: 'confirmed', deliveredAt: noon }, '10.0.0.5', noon, 'alarm'],
  ['an old boot', { state: 'superseded' }, '10.0.0.5', noon, 'gone'],
  ['a quarantined boot', { state: 'quarantined' }, '10.0.0.5', noon, 'gone'],
  ['an expired boot', { state: 'expired' }, '10.0.0.5', noon, 'gone'],
  ['an offer that is too old', {}, '10.0.0.5', later(OFFER_LIFETIME_MS + 1), 'gone'],
  [
    'a delivery that is too old',
    { state: 'delivered', deliveredAt: noon },
    '10.0.0.5',
    later(DELIVERY_LIFETIME_MS + 1),
    'gone'
  ]
]
for (const [name, changes, address, now, want] of readings) {
  t.test(`config: ${name}`, async t => t.equal(mayRead({ ...boot, ...changes }, address, now).kind, want))
}
t.test('a boot is late by the stage it is in', async t => {
  t.equal(isLate(boot, later(OFFER_LIFETIME_MS)), false)
  t.equal(isLate(boot, later(OFFER_LIFETIME_MS + 1)), true)
  t.equal(isLate({ ...boot, state: 'delivered', deliveredAt: noon }, later(OFFER_LIFETIME_MS + 1)), false)
})
