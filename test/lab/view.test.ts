// The table and the lines of the lab, from what rack, server and cluster say.

import t from 'tap'
import type { Machine } from '../../server/contract/machine.ts'
import type { KubeNode } from '../../server/kubeapi/objects.ts'
import { createReport } from './report.ts'
import { rackOf } from './rack/spec.ts'
import { ago, plain, tableLines } from './table.ts'
import { isUpgraded, rowOf, type Seen } from './view.ts'

const start = new Date('2026-01-01T00:00:00Z')
const [first, second] = rackOf(6) as [Seen['spec'], Seen['spec']]
const seen = (stage: Seen['stage'], detail = ''): Seen => ({
  spec: second,
  stage,
  detail,
  since: start,
  address: '127.77.0.11'
})
const machine = (state: Machine['state'], fields: Partial<Machine> = {}) =>
  ({ state, name: 'worker-1', since: start.toISOString(), reason: null, next: 'next', ...fields }) as Machine
const node = (version: string, ready = 'True', unschedulable = false): KubeNode => ({
  metadata: { name: 'worker-1', annotations: { 'slipway.dev/reason': 'evicting pods' } },
  spec: { unschedulable },
  status: { nodeInfo: { kubeletVersion: version }, conditions: [{ type: 'Ready', status: ready }] }
})

const rows: [name: string, row: ReturnType<typeof rowOf>, stage: string, tone: string, next: string | RegExp][] = [
  ['nobody knows it yet', rowOf(seen('power-on'), null, null, null), 'power-on', 'working', /DHCP/],
  ['it waits for approval', rowOf(seen('waiting'), machine('discovered'), null, null), 'waiting', 'waiting', 'next'],
  ['the boot goes wrong', rowOf(seen('stuck', 'no disk'), null, null, null), 'stuck', 'bad', 'no disk'],
  [
    'the server gave up',
    rowOf(seen('running'), machine('failed', { reason: 'late' }), null, null),
    'failed',
    'bad',
    'late'
  ],
  ['its agent starts', rowOf(seen('running'), machine('installing'), null, null), 'agent', 'working', /enrols/],
  ['enrolled', rowOf(seen('running'), machine('enrolled'), null, null), 'enrolled', 'working', 'next'],
  ['joined', rowOf(seen('running'), machine('enrolled'), node('v1', 'False'), null), 'joined', 'working', 'next'],
  ['ready', rowOf(seen('running'), machine('ready'), node('v1'), null), 'Ready v1', 'good', 'next'],
  [
    'a silent node',
    rowOf(seen('running'), machine('ready'), node('v1', 'Unknown'), null),
    'not Ready',
    'bad',
    /stopped/
  ],
  [
    'upgrading',
    rowOf(seen('running'), machine('maintenance'), node('v1'), 'v2'),
    'upgrading',
    'working',
    'evicting pods'
  ],
  ['upgraded', rowOf(seen('running'), machine('ready'), node('v2'), 'v2'), 'Ready v2', 'good', /has been upgraded/]
]

t.test('rows', async t => {
  for (const [name, row, stage, tone, next] of rows) t.match(row, { stage, tone, next }, name)
  t.notOk(isUpgraded(machine('ready'), node('v2', 'True', true), 'v2'), 'not while it is cordoned')
  t.notOk(isUpgraded(machine('maintenance'), node('v2'), 'v2'), 'not before the slot is back')
})

t.test('table', async t => {
  const row = { ...rowOf(seen('installing'), null, null, null), since: start }
  const now = new Date(start.getTime() + 65_000)
  t.same(tableLines([row], now, 200, 'plain'), [
    'MACHINE  NODE  FIRMWARE     SYSTEM           STAGE       SINCE     ADDRESS      NEXT',
    'rack-02  -     BIOS x86_64  CentOS Stream 9  installing  1 m 05 s  127.77.0.11  installs, then starts again'
  ])
  t.equal(tableLines([row], now, 20, 'plain')[1], 'rack-02  -     BIOS', 'cut to the terminal')
  t.ok(tableLines([row], now, 200, 'colour')[1]!.includes('\u001b[36minstalling\u001b[0m'))
  const many = tableLines(
    Array.from({ length: 30 }, () => row),
    now,
    200,
    'plain'
  )
  t.equal(many.at(-1), '… and 10 more')
  t.equal(plain('a\n\u001b[31mb\u202ec'), 'a [31mb c', 'nothing that a terminal obeys')
  t.same(
    [0, 59_000, 61_000].map(ms => ago(start, new Date(start.getTime() + ms))),
    ['0 s', '59 s', '1 m 01 s']
  )
})

t.test('reports', async t => {
  const told = (format: 'json' | 'text', columns: number | null): string => {
    let out = ''
    const io = {
      out: (text: string) => void (out += text),
      error: () => {},
      columns: () => columns,
      colour: 'plain' as const
    }
    const report = createReport(io, format, () => start)
    const row = rowOf({ ...seen('power-on'), spec: first }, null, null, null)
    report.note('hello', { event: 'lab.hello' })
    report.rows([row])
    report.rows([row])
    report.rows([{ ...row, stage: 'installing' }])
    return out
  }
  const events = told('json', 80)
    .trim()
    .split('\n')
    .map(line => (JSON.parse(line) as { event: string; stage?: string }).stage ?? 'hello')
  t.same(events, ['hello', 'power-on', 'installing'], 'one event a change')
  t.equal(told('text', null).trim().split('\n').length, 3, 'one line a change')
  const drawn = told('text', 80)
  t.ok(drawn.startsWith('hello\nMACHINE') && drawn.includes('\u001b[2A\u001b[JMACHINE'), 'drawn over itself')
})
