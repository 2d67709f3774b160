// An honest client, the real session, and a network that loses, repeats and reorders packets. Whatever the seed: the
// transfer ends, a complete one is the file, and the server never sends more than its bounds allow.
// To repeat a failure: SEED=123 tap run test/sim/tftp.test.ts

import t from 'tap'
import type { Packet } from '../../server/tftp/packet.ts'
import { type Event, open, type Outcome, step } from '../../server/tftp/session.ts'
import { seeded } from '../helpers/random.ts'

const seeds = process.env.SEED ? [Number(process.env.SEED)] : Array.from({ length: 2000 }, (_, seed) => seed)

t.test(`${seeds.length} bad networks`, async t => {
  const outcomes: Record<Outcome, number> = { complete: 0, 'size asked': 0, 'timed out': 0, 'aborted by client': 0 }
  for (const seed of seeds) {
    const { outcome, file, received, sent, sentUnproven } = simulate(seed)
    outcomes[outcome] += 1
    if (outcome === 'complete' && !received.equals(file)) t.fail(`seed ${seed}: the file arrived damaged`)
    if (sentUnproven > 4) t.fail(`seed ${seed}: ${sentUnproven} packets to a client that had not answered`)
    if (sent > (file.length / 8 + 2) * 6 * 8) t.fail(`seed ${seed}: sent ${sent} packets`)
  }
  t.comment(JSON.stringify(outcomes))
  t.ok(outcomes.complete > outcomes['timed out'], 'most transfers complete')
  t.ok(outcomes['timed out'] > 0 || seeds.length === 1, 'and some networks are too bad')
})

interface Result {
  outcome: Outcome
  file: Buffer
  received: Buffer
  sent: number
  sentUnproven: number
}

function simulate(seed: number): Result {
  const random = seeded(seed)
  const loss = random() * 0.5
  const windowSize = 1 + Math.floor(random() * 8)
  const file = Buffer.from(Array.from({ length: random() * 400 }, () => random() * 256))
  const toClient: Packet[] = []
  const toServer: Packet[] = []
  const carry = (wire: Packet[], packet: Packet): void => {
    if (random() < loss) return
    for (let copies = random() < 0.1 ? 2 : 1; copies > 0; copies--) {
      wire.splice(random() < 0.8 ? wire.length : random() * (wire.length + 1), 0, packet)
    }
  }
  const options = { blksize: '8', ...(windowSize === 1 ? {} : { windowsize: String(windowSize) }) }
  let [session, effects] = open(file, 'octet', options)
  const client = createClient(windowSize)
  let sent = 0
  let sentUnproven = 0
  let proven = false

  for (;;) {
    for (const effect of effects) {
      if (effect.type === 'close')
        return { outcome: effect.outcome, file, received: client.received(), sent, sentUnproven }
      if (effect.type !== 'send') continue
      sent += 1
      if (!proven) sentUnproven += 1
      carry(toClient, effect.packet)
    }
    const arrival = toClient.shift()
    if (arrival !== undefined) for (const answer of client.hear(arrival)) carry(toServer, answer)
    const packet = toServer.shift()
    const idle = packet === undefined && toClient.length === 0
    const event: Event | null = packet ? { type: 'packet', packet } : idle ? { type: 'timeout' } : null
    proven ||= packet !== undefined
    if (event === null) effects = []
    else [session, effects] = step(session, event)
  }
}

/** Acknowledges the end of each window, the end of the file, and where a gap begins. */
function createClient(windowSize: number): { hear: (packet: Packet) => Packet[]; received: () => Buffer } {
  const blocks: Buffer[] = []
  let inWindow = 0
  let ended = false
  return {
    received: () => Buffer.concat(blocks),
    hear(packet) {
      const acknowledge = (): Packet[] => {
        inWindow = 0
        return [{ op: 'ack', block: blocks.length }]
      }
      if (packet.op === 'oack') return blocks.length === 0 ? [{ op: 'ack', block: 0 }] : []
      if (packet.op !== 'data') return []
      if (packet.block === blocks.length + 1 && !ended) {
        blocks.push(packet.bytes)
        ended = packet.bytes.length < 8
        inWindow += 1
        return ended || inWindow >= windowSize ? acknowledge() : []
      }
      return acknowledge() // a repeat or a gap
    }
  }
}
