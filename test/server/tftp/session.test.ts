// One transfer as traces: a file of that size, these options, these events, those effects. Then packets and names.

import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { decode, encode, normaliseName, type Packet } from '../../../server/tftp/packet.ts'
import {
  advance,
  encodeBlocks,
  type Event,
  open,
  type Session,
  step,
  type Step,
  toNetascii
} from '../../../server/tftp/session.ts'
import { seeded } from '../../helpers/random.ts'

const ack = (block: number): Event => ({ type: 'packet', packet: { op: 'ack', block } })
const abort: Event = { type: 'packet', packet: { op: 'error', code: 8, message: 'User aborted the transfer' } }
const timeout: Event = { type: 'timeout' }
const askedAgain: Event = { type: 'asked again' }

/** Runs the events; one word an effect, so that a row reads as a trace. Waits are left out. */
function trace([session, effects]: Step, events: Event[]): string {
  const words = effects.flatMap(effect => word(session, effect))
  for (const event of events) {
    const [next, more] = step(session, event)
    session = next
    words.push('|', ...more.flatMap(effect => word(next, effect)))
  }
  return words.join(' ')
}

function word(session: Session, effect: Step[1][number]): string[] {
  if (effect.type === 'wait') return []
  if (effect.type === 'blocks') {
    return Array.from({ length: effect.count }, (_, i) => {
      const bytes = Buffer.alloc(session.blockSize + 4)
      return show(decode(bytes.subarray(0, encodeBlocks(session, effect.first + i, 1, bytes)))!)
    })
  }
  return [effect.type === 'close' ? effect.outcome : show(effect.packet)]
}

function show(packet: Packet): string {
  if (packet.op === 'data') return `${packet.block}+${packet.bytes.length}`
  if (packet.op === 'oack')
    return Object.entries(packet.options)
      .map(pair => pair.join('='))
      .join(' ')
  return packet.op
}

const rows: Array<[name: string, size: number, options: Record<string, string>, events: Event[], want: string]> = [
  ['a short file is one block', 100, {}, [ack(1)], '1+100 | complete'],
  [
    'a file of whole blocks ends with an empty block',
    1024,
    {},
    [ack(1), ack(2), ack(3)],
    '1+512 | 2+512 | 3+0 | complete'
  ],
  ['an empty file is one empty block', 0, {}, [ack(1)], '1+0 | complete'],
  [
    'options are acknowledged before data, and cut to what we do',
    2000,
    { blksize: '8192', tsize: '0', windowsize: '65535' },
    [ack(0), ack(2)],
    'blksize=1468 tsize=2000 windowsize=32 | 1+1468 2+532 | complete'
  ],
  [
    'OVMF asks for the size and leaves',
    1,
    { tsize: '0', blksize: '1468', windowsize: '4' },
    [abort, ack(0)],
    'blksize=1468 tsize=1 windowsize=4 | size asked |'
  ],
  [
    'values out of range are left out',
    1,
    { blksize: '7', windowsize: '0', timeout: '3000', tsize: '-1' },
    [ack(1)],
    '1+1 | complete'
  ],
  [
    'so are those that are no numbers',
    1,
    { blksize: '512.5', windowsize: '1e1', timeout: '' },
    [ack(1)],
    '1+1 | complete'
  ],
  ['a timeout is agreed to as it is', 1, { timeout: '3' }, [ack(0), ack(1)], 'timeout=3 | 1+1 | complete'],
  ['a duplicate ACK sends nothing', 1000, {}, [ack(1), ack(1), ack(1), ack(2)], '1+512 | 2+488 | | | complete'],
  ['an ACK of what was not sent does nothing', 1000, {}, [ack(2), ack(500), ack(0)], '1+512 | | |'],
  [
    'a timeout sends the same block again',
    1000,
    {},
    [timeout, ack(1), timeout, ack(2)],
    '1+512 | 1+512 | 2+488 | 2+488 | complete'
  ],
  ['nobody there: twice one block', 1000, {}, [timeout, timeout, timeout], '1+512 | 1+512 | timed out |'],
  [
    'nobody there: four times the options, which are not longer than what asked for them',
    1000,
    { tsize: '0' },
    [timeout, timeout, timeout, timeout, timeout],
    'tsize=1000 | tsize=1000 | tsize=1000 | tsize=1000 | timed out |'
  ],
  [
    'asked again: the first answer again, six times at most',
    1000,
    {},
    Array.from({ length: 7 }, () => askedAgain),
    '1+512 | 1+512 | 1+512 | 1+512 | 1+512 | 1+512 | |'
  ],
  [
    'asked again after an answer: nothing, the request was repeated on its way',
    1000,
    {},
    [ack(1), askedAgain, timeout],
    '1+512 | 2+488 | | 2+488'
  ],
  [
    'somebody was there: six times',
    1000,
    {},
    [ack(1), ...Array.from({ length: 6 }, () => timeout)],
    '1+512 | 2+488 | 2+488 | 2+488 | 2+488 | 2+488 | 2+488 | timed out'
  ],
  [
    'a window',
    40,
    { blksize: '8', windowsize: '3' },
    [ack(0), ack(3), ack(6)],
    'blksize=8 windowsize=3 | 1+8 2+8 3+8 | 4+8 5+8 6+0 | complete'
  ],
  [
    'a gap in a window is sent again from there',
    40,
    { blksize: '8', windowsize: '3' },
    [ack(0), ack(1), ack(4), ack(6)],
    'blksize=8 windowsize=3 | 1+8 2+8 3+8 | 2+8 3+8 4+8 | 5+8 6+0 | complete'
  ],
  [
    'the first of a window lost: nothing until the time is up',
    40,
    { blksize: '8', windowsize: '3' },
    [ack(0), ack(0), timeout],
    'blksize=8 windowsize=3 | 1+8 2+8 3+8 | | 1+8 2+8 3+8'
  ],
  [
    'data from a client does nothing',
    10,
    {},
    [{ type: 'packet', packet: { op: 'data', block: 1, bytes: Buffer.alloc(1) } }],
    '1+10 |'
  ]
]
for (const [name, size, options, events, want] of rows) {
  t.test(name, async t => t.equal(trace(open(Buffer.alloc(size), options), events).trim(), want))
}

t.test('block numbers wrap after 65535, to 0', async t => {
  const file = Buffer.alloc(8 * 65537)
  let at = open(file, { blksize: '8' })
  const seen: string[] = []
  for (let block = 0; block < 65537; block++) {
    at = step(at[0], ack(block & 0xffff))
    if (block > 65532) seen.push(...at[1].flatMap(effect => word(at[0], effect)))
  }
  t.same(seen, ['65534+8', '65535+8', '0+8', '1+8'])
})

t.test('how long an answer is waited for', async t => {
  const waits = (step: Step): number[] => step[1].flatMap(effect => (effect.type === 'wait' ? [effect.ms] : []))
  const plain = open(Buffer.alloc(1000), {})
  t.same(waits(plain), [1000])
  t.same(waits(step(plain[0], timeout)), [3000], 'a block is sent twice, and a slow client heard for four seconds')
  t.same(waits(step(step(plain[0], timeout)[0], ack(1))), [1000])
  const agreed = open(Buffer.alloc(1000), { timeout: '3' })
  t.same([waits(agreed), waits(step(agreed[0], timeout))], [[3000], [3000]])
})

t.test('netascii', async t => {
  t.equal(toNetascii(Buffer.from('a\nb\rc\r\nd')).toString(), 'a\r\nb\r\0c\r\0\r\nd')
})

const packets: Array<[bytes: string, packet: Packet]> = [
  ['\0\u0001a\0octet\0', { op: 'rrq', filename: 'a', mode: 'octet', options: {} }],
  ['\0\u0001a\0NetASCII\0', { op: 'rrq', filename: 'a', mode: 'netascii', options: {} }],
  ['\0\u0001a\0OCTET\0BlkSize\x0099\0', { op: 'rrq', filename: 'a', mode: 'octet', options: { blksize: '99' } }],
  [
    '\0\u0001a\0octet\0__proto__\x001\0constructor\x002\0',
    {
      op: 'rrq',
      filename: 'a',
      mode: 'octet',
      options: Object.fromEntries([
        ['__proto__', '1'],
        ['constructor', '2']
      ])
    }
  ],
  ['\0\u0002a\0octet\0', { op: 'wrq', filename: 'a' }],
  ['\0\u0004\u0001\u0002', { op: 'ack', block: 258 }],
  ['\0\u0005\0\u0008stop\0', { op: 'error', code: 8, message: 'stop' }]
]
for (const [bytes, packet] of packets) {
  t.test(`reads ${JSON.stringify(bytes)}`, async t => {
    const read = decode(Buffer.from(bytes, 'latin1'))!
    t.same(JSON.stringify(read), JSON.stringify(packet))
    t.same(decode(encode(read)), read)
  })
}
for (const bytes of [
  '',
  '\0',
  '\0\u0001',
  '\0\u0001a',
  '\0\u0001a\0',
  '\0\u0001a\0mail\0',
  '\0\u0001\0octet\0',
  '\0\u0007ab',
  `\0\u0001${'a'.repeat(2000)}\0octet\0`
]) {
  t.equal(decode(Buffer.from(bytes, 'latin1')), null, `no packet: ${JSON.stringify(bytes.slice(0, 20))}`)
}

const names: Array<[asked: string, name: string | null]> = [
  ['ipxe.efi', 'ipxe.efi'],
  ['/ipxe.efi', 'ipxe.efi'],
  ['//grubx64.efi', 'grubx64.efi'],
  ['/sb//grubx64.efi', 'sb/grubx64.efi'],
  ['./grub/./grub.cfg', 'grub/grub.cfg'],
  ['/boot/grub?mac=52:54:00:00:00:01&serial=A%20(1)', 'boot/grub?mac=52:54:00:00:00:01&serial=A%20(1)'],
  ...[
    '',
    '/',
    '.',
    '..',
    '../x',
    'a/../b',
    '/..',
    '...',
    '....//x',
    'a\\b',
    '..\\x',
    '%2e%2e/x',
    'boot/grub?mac=../x',
    'boot/grubx?mac=1',
    `boot/grub?${'x'.repeat(701)}`,
    'C:x',
    'a\nb',
    'a b',
    'ä',
    'x'.repeat(256)
  ].map((asked): [string, null] => [asked, null])
]
for (const [asked, name] of names) t.equal(normaliseName(asked), name, `name ${JSON.stringify(asked.slice(0, 30))}`)

t.test('the short way is the long one', async t => {
  const random = seeded(7)
  const below = (end: number): number => Math.floor(random() * end)
  let short = 0
  for (let run = 0; run < 200; run++) {
    // Long enough at 8 bytes a block that numbers wrap.
    const file = Buffer.alloc(run === 0 ? 600_000 : below(20_000))
    let [session] = open(file, { blksize: run === 0 ? '8' : '512', windowsize: String(1 + below(32)) })
    while (session.state !== 'closed') {
      const stray = random() < 0.2 && run > 0
      const block = (stray ? below(0x10000) : session.sent) & 0xffff
      const [next, [effect]] = step(session, ack(block))
      const own = { ...session }
      const isTaken = advance(own, block)
      if (isTaken) short++
      const told = isTaken && { type: 'blocks', first: own.acknowledged + 1, count: own.sent - own.acknowledged }
      const expected = isTaken ? [next, effect] : [session, false]
      if (!isDeepStrictEqual([own, told], expected)) t.strictSame([own, told], expected, `run ${run}, ACK ${block}`)
      session = next
    }
  }
  t.ok(short > 2_000, `taken ${short} times`)
})
