// Single packets that somebody made on purpose, each with the answer that it may get: in mode authoritative and as a
// proxy. Chance does the rest in fuzz.test.ts.

import t from 'tap'
import { openSubnets } from '../../../server/dhcp/context.ts'
import { decodePacket } from '../../../server/dhcp/codec/packet.ts'
import { hex, now, readRequests, subnet } from '../../helpers/dhcp.ts'
import { openBench } from '../../helpers/dhcp-listener.ts'

const requests = readRequests()
const base = requests.get('OVMF PXE discovers')!
const linux = requests.get('an installed Linux discovers')!

function set(at: number, ...bytes: number[]): Buffer {
  const packet = Buffer.from(base)
  packet.set(bytes, at)
  return packet
}

/** The header of a boot client's DISCOVER with these options instead of its own. */
function withOptions(...options: string[]): Buffer {
  const bytes = Buffer.concat([base.subarray(0, 240), hex(options.join(''))])
  return Buffer.concat([bytes], Math.max(300, bytes.length))
}

const discover = '35 01 01'
const pxe = '3c 09 505845436c69656e74  5d 02 0007'

const rows: Array<[what: string, bytes: Buffer, authoritative: string, proxy: string]> = [
  ['a DISCOVER of firmware', base, 'offer', 'boot'],
  ['of an installed system', linux, 'offer', 'silence'],
  ['a BOOTREPLY', set(0, 2), 'silence', 'silence'],
  ['op 0', set(0, 0), 'silence', 'silence'],
  ['a hardware address of no bytes', set(2, 0), 'silence', 'silence'],
  ['one of 16', set(2, 16), 'silence', 'silence'],
  ['one of 17', set(2, 17), 'silence', 'silence'],
  ['one of 255', set(2, 255), 'silence', 'silence'],
  ['InfiniBand', set(1, 32), 'silence', 'silence'],
  ['no magic cookie', set(236, 0, 0, 0, 0), 'silence', 'silence'],
  ['BOOTP: no message type', withOptions(pxe, 'ff'), 'silence', 'silence'],
  ['two message types', withOptions(discover, pxe, '35 01 03 ff'), 'silence', 'silence'],
  ['a message type of no bytes', withOptions('35 00', pxe, 'ff'), 'silence', 'silence'],
  ['message type 255', withOptions('35 01 ff', pxe, 'ff'), 'silence', 'silence'],
  ['an OFFER of a client', withOptions('35 01 02', pxe, 'ff'), 'silence', 'silence'],
  ['an option past the end', withOptions(discover, pxe, '3d ff 00'), 'silence', 'silence'],
  ['a code and nothing behind it', withOptions(discover, pxe, '00'.repeat(60), '3d'), 'silence', 'silence'],
  ['options without an end', withOptions(discover, pxe), 'offer', 'boot'],
  ['option 97 of 3 bytes', withOptions(discover, pxe, '61 03 000102 ff'), 'offer', 'boot'],
  ['option 97 of type 1', withOptions(discover, pxe, '61 11 01', '5a'.repeat(16), 'ff'), 'offer', 'boot'],
  ['option 97 of 255 bytes', withOptions(discover, pxe, '61 ff', '5a'.repeat(255), 'ff'), 'offer', 'boot'],
  ['option 93 of one byte', withOptions(discover, '3c 09 505845436c69656e74 5d 01 00 ff'), 'silence', 'silence'],
  ['architecture 4660', withOptions(discover, '3c 09 505845436c69656e74 5d 02 1234 ff'), 'offer', 'silence'],
  ['option 43 that is none', withOptions(discover, pxe, '2b 03 ffff 01 ff'), 'offer', 'boot'],
  ['option 82 without a relay', withOptions(discover, pxe, '52 04 01 02 6131 ff'), 'offer', 'boot'],
  ['options in sname and file that go on for ever', overloaded(), 'offer', 'boot'],
  ['a value in 40 pieces', withOptions(discover, pxe, '3d 01 aa'.repeat(40), 'ff'), 'offer', 'boot'],
  ['the largest answer is 576 bytes, says the client', withOptions(discover, pxe, '39 02 0000 ff'), 'offer', 'boot'],
  ['a relay of a network that nobody configured', set(24, 203, 0, 113, 9), 'silence', 'boot']
]

/** sname and file are options, each of which says again that sname and file are options. */
function overloaded(): Buffer {
  const bytes = withOptions(discover, pxe, '34 01 03 ff')
  for (const at of [44, 108]) bytes.set(hex('34 01 03 34 01 03 ff'), at)
  return bytes
}

for (const mode of ['authoritative', 'proxy'] as const) {
  t.test(`${mode}: packets made on purpose`, async t => {
    for (const [what, bytes, authoritative, proxy] of rows) {
      const subnets = mode === 'proxy' ? [] : openSubnets([subnet], ['10.77.0.1'], [])
      const bench = await openBench(t, { mode, subnets, clock: { now } })
      const answer = await bench.hear(Buffer.from(bytes), 'server', { address: '10.77.0.77', port: 68 })
      t.same(bench.bugs, [], what)
      const want = mode === 'proxy' ? proxy : authoritative
      if (answer === null) {
        t.equal('silence', want, what)
        continue
      }
      const { options, yourAddress, bootFile } = decodePacket(answer.bytes)
      t.equal(options.messageType, 2, what)
      t.equal(yourAddress === '0.0.0.0' && bootFile !== '' ? 'boot' : 'offer', want, what)
      t.ok(answer.bytes.length <= 1472, what)
      const everybody = ['127.255.255.255', '255.255.255.255']
      const to = bytes.readUInt32BE(24) === 0 ? everybody : ['10.77.0.77']
      t.ok(to.includes(answer.address), `${what}: it goes to ${answer.address}, to nobody who was only named`)
    }
  })
}
