// Mutated packets of real firmware through the codec and the server's whole receive path, in both modes and at both
// doors: no crash, nothing that grows, no answer to what must not be answered. How many: SLIPWAY_FUZZ (npm run
// test:fuzz says a million); SEED repeats a run.

import { existsSync, globSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { knowIn, openSubnets, type Subnet } from '../../../server/dhcp/context.ts'
import { readRequests, subnet as config } from '../../helpers/dhcp.ts'
import { type Asked, mustNotAnswer, wrongAnswer } from '../../helpers/dhcp-oracle.ts'
import { type Answer, type Bench, liveBytes, openBench } from '../../helpers/dhcp-listener.ts'
import { mutate } from '../../helpers/mutations.ts'
import { readDatagrams } from '../../helpers/pcap.ts'
import { seeded } from '../../helpers/random.ts'

const COUNT = Number(process.env.SLIPWAY_FUZZ ?? 60_000)
const HEADER = 240
const server = '10.77.0.1'
const pool = { first: '10.77.0.50', last: '10.77.0.249' }

const captures = join(import.meta.dirname, '..', '..', '..', '..', 'shared', 'pcaps')

/** Requests and replies alike; without the captures those that are fixtures. */
function readSamples(): Buffer[] {
  const fixtures = [...readRequests().values()]
  if (!existsSync(captures)) return fixtures
  const heard = globSync(join(captures, '*.pcap')).flatMap(path =>
    readDatagrams(path)
      .filter(({ to }) => [67, 68, 4011].includes(to.port))
      .map(({ bytes }) => bytes)
  )
  return [...fixtures, ...heard]
}

interface Place {
  readonly mode: Asked['mode']
  readonly bench: Bench
  readonly subnets: readonly Subnet[]
}

t.setTimeout(30 * 60_000)

t.test(`${COUNT} mutated packets`, async t => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32))
  t.comment(`SEED=${seed}`)
  const random = seeded(seed)
  const clock = { now: new Date('2026-01-02T03:04:05Z') }
  const places = [await open(t, 'authoritative', clock), await open(t, 'proxy', clock)]
  const samples = readSamples()
  const tally = { answered: 0, silent: 0, forbidden: 0 }
  const wrong: string[] = []
  let before = 0
  const early = Math.floor(COUNT / 4)
  for (let i = 0; i < COUNT && wrong.length < 10; i++) {
    clock.now = new Date(clock.now.getTime() + 3)
    const { mode, bench } = places[i % 2]!
    const door = random() < 0.7 ? 'server' : 'proxy'
    const peer = random() < 0.5 ? '0.0.0.0' : '10.77.0.77'
    const bytes = mutate(samples, random, HEADER)
    const sent = Buffer.from(bytes)
    const ways = door === 'proxy' ? (['here'] as const) : (['broadcast', 'broadcast', 'here', 'elsewhere'] as const)
    const from = ways[Math.floor(random() * ways.length)]!
    const answer = await bench.hear(bytes, door, { address: peer, port: door === 'proxy' ? 4011 : 68 }, from)
    const fault = judge({ bytes: sent, mode, door, server, peer, subnet: '10.77.0.' }, answer, tally)
    if (fault !== null) wrong.push(`${fault}: ${mode} ${door} ${peer} ${sent.toString('hex')}`)
    if (i % 10_000 === 0) for (const place of places) wrong.push(...bounded(place))
    if (i === early) before = await liveBytes()
  }
  const grown = (await liveBytes()) - before
  t.comment(JSON.stringify({ ...tally, grown, samples: samples.length }))
  t.same(wrong, [])
  for (const place of places) t.same(bounded(place), [])
  t.ok(tally.answered > COUNT / 20 && tally.silent > COUNT / 20 && tally.forbidden > COUNT / 20, 'all of it was met')
  t.ok(grown < 12 * 1024 * 1024, `${grown} bytes more after three quarters of it`)
})

function judge(asked: Asked, answer: Answer | null, tally: Record<'answered' | 'silent' | 'forbidden', number>) {
  const why = mustNotAnswer(asked)
  if (answer === null) {
    tally[why === null ? 'silent' : 'forbidden'] += 1
    return null
  }
  if (why !== null) return `answered, though it is ${why}`
  tally.answered += 1
  return wrongAnswer(asked, answer.bytes, answer.address, answer.port)
}

async function open(t: Test, mode: Asked['mode'], clock: { now: Date }): Promise<Place> {
  const subnets = mode === 'proxy' ? [] : openSubnets([{ ...config, pool }], [server], [])
  knowIn(subnets, [['52:54:00:aa:01:03']])
  return { mode, subnets, bench: await openBench(t, { mode, subnets, clock, address: server }) }
}

/** What has grown beyond its bound; it also forgets what the test itself has gathered. */
function bounded({ bench, subnets }: Place): string[] {
  bench.events.length = 0
  const found = bench.bugs.map(bug => `a bug: ${JSON.stringify(bug)}`)
  if (bench.lookout.servers().length > 64) found.push('more than 64 other servers')
  if (bench.lookout.notices().length > 70) found.push('more than 70 notices')
  if (bench.counts.size > 64) found.push(`${bench.counts.size} names of counts`)
  for (const { index } of subnets) {
    const sizes = [index.byMac.size, index.byAddress.size, Math.floor((index.expiries.heap.length - 64) / 2)]
    if (sizes.some(size => size > 200) || index.pressure.macs.size > 2000) found.push(`index ${sizes.join(' ')}`)
  }
  return found
}
