// Mutated packets through the TFTP codec and whole transfers: nothing that is thrown, no name that leaves the folder,
// no byte that is not the file's, and until a client has answered next to nothing for what it asked. How many:
// SLIPWAY_FUZZ; SEED repeats a run.

import { existsSync, globSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { decode, encode, normaliseName } from '../../../server/tftp/packet.ts'
import { encodeBlocks, type Event, open, type Session, step, type Step } from '../../../server/tftp/session.ts'
import { mutate } from '../../helpers/mutations.ts'
import { readDatagrams } from '../../helpers/pcap.ts'
import { seeded } from '../../helpers/random.ts'

const COUNT = Number(process.env.SLIPWAY_FUZZ ?? 60_000)
const captures = join(import.meta.dirname, '..', '..', '..', '..', 'shared', 'pcaps')
const OPCODE = 2

const made = [
  { op: 'rrq', filename: 'snponly.efi', mode: 'octet', options: { tsize: '0', blksize: '1468', windowsize: '4' } },
  { op: 'rrq', filename: '/grub/grub.cfg', mode: 'netascii', options: { blksize: '1024', tsize: '0' } },
  { op: 'rrq', filename: '//grubx64.efi', mode: 'octet', options: { blksize: '512', timeout: '3' } },
  { op: 'rrq', filename: '../../etc/shadow', mode: 'octet', options: {} },
  { op: 'rrq', filename: '....//....//etc/shadow', mode: 'octet', options: { windowsize: '65535' } },
  { op: 'wrq', filename: 'undionly.kpxe' },
  { op: 'ack', block: 0 },
  { op: 'ack', block: 1 },
  { op: 'ack', block: 4 },
  { op: 'error', code: 8, message: 'aborted' },
  { op: 'data', block: 1, bytes: Buffer.from('data') },
  { op: 'oack', options: { blksize: '1468' } }
] as const

function readSamples(): Buffer[] {
  const samples = made.map(packet => encode(packet))
  if (!existsSync(captures)) return samples
  const heard = globSync(join(captures, '*.pcap')).flatMap(path =>
    readDatagrams(path).filter(({ to, bytes }) => to.port === 69 || (bytes.length === 4 && bytes[0] === 0))
  )
  return [...samples, ...heard.slice(0, 500).map(({ bytes }) => bytes)]
}

const file = Buffer.from(Array.from({ length: 20_000 }, (_, i) => (i * 7 + (i >> 8)) & 255))

t.setTimeout(20 * 60_000)

t.test(`${COUNT} mutated packets`, async t => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32))
  t.comment(`SEED=${seed}`)
  const random = seeded(seed)
  const samples = readSamples()
  const tally = { refused: 0, requests: 0, names: 0, complete: 0 }
  const wrong: string[] = []
  for (let i = 0; i < COUNT && wrong.length < 10; i++) {
    const bytes = mutate(samples, random, OPCODE)
    const packet = decode(Buffer.from(bytes))
    if (packet === null) tally.refused += 1
    if (packet?.op !== 'rrq') continue
    tally.requests += 1
    const name = normaliseName(packet.filename)
    if (name !== null) tally.names += 1
    if (name !== null && !isInside(name)) wrong.push(`name ${JSON.stringify(name)}`)
    const said = transfer(open(file, packet.options), samples, random)
    if (said === 'complete') tally.complete += 1
    else if (said !== null) wrong.push(`${said}: ${bytes.toString('hex')}`)
  }
  t.comment(JSON.stringify(tally))
  t.same(wrong, [])
  t.ok(tally.refused > COUNT / 50 && tally.names > COUNT / 50 && tally.complete > 20, 'all of it was met')
})

/** Written anew: relative, no step upwards, none of the characters that mean something to a file system or a shell. */
function isInside(name: string): boolean {
  return !name.startsWith('/') && name.split('/').every(part => /^[A-Za-z0-9_.+@-]+$/.test(part) && !/^\.+$/.test(part))
}

/** Plays a client that answers rightly, wrongly or not at all; what was wrong with the server, 'complete', or null. */
function transfer(first: Step, samples: readonly Buffer[], random: () => number): string | null {
  let [session, effects] = first
  let answered = false
  let unproven = 0
  let last = 0
  for (let turn = 0; turn < 200; turn++) {
    let packets = 0
    for (const effect of effects) {
      if (effect.type === 'close') return effect.outcome === 'complete' ? 'complete' : null
      if (effect.type === 'wait' && !(effect.ms >= 1000 && effect.ms <= 10_000)) return `it waits ${effect.ms} ms`
      if (effect.type === 'send') packets += 1
      if (effect.type !== 'blocks') continue
      packets += effect.count
      last = effect.first + effect.count - 1
      const fault = wrongBlocks(session, effect.first, effect.count)
      if (fault !== null) return fault
    }
    if (packets > session.windowSize || session.windowSize > 32 || session.blockSize > 1468) return `${packets} at once`
    if (!answered) unproven += packets
    if (unproven > 8) return `${unproven} packets to somebody who never answered`
    const event = nextEvent(session, last, samples, random)
    answered ||= event.type === 'packet' && event.packet.op === 'ack'
    ;[session, effects] = step(session, event)
  }
  return null
}

function nextEvent(session: Session, last: number, samples: readonly Buffer[], random: () => number): Event {
  const dice = random()
  if (dice < 0.1) return { type: 'timeout' }
  if (dice < 0.15) return { type: 'asked again' }
  if (dice < 0.25) {
    const packet = decode(mutate(samples, random, OPCODE))
    return packet === null ? { type: 'timeout' } : { type: 'packet', packet }
  }
  const right = session.state === 'options' ? 0 : last & 0xffff
  const block = dice < 0.9 ? right : Math.floor(random() * 65_536)
  return { type: 'packet', packet: { op: 'ack', block } }
}

/** Each block against the file, by RFC 1350 §5. */
function wrongBlocks(session: Session, first: number, count: number): string | null {
  const into = Buffer.alloc((session.blockSize + 4) * count)
  const size = encodeBlocks(session, first, count, into)
  let at = 0
  for (let block = first; block < first + count; block++) {
    const want = file.subarray((block - 1) * session.blockSize, block * session.blockSize)
    if (into.readUInt16BE(at) !== 3 || into.readUInt16BE(at + 2) !== (block & 0xffff))
      return `block ${block} is misnamed`
    if (!into.subarray(at + 4, at + 4 + want.length).equals(want)) return `block ${block} holds other bytes`
    at += 4 + want.length
  }
  return at === size ? null : `${size} bytes in ${count} blocks`
}
