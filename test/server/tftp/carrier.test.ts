// The two ways of moving packets do the same, and when the thread of the faster one dies, the plain one goes on.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import t from 'tap'
import { openLibc } from '../../../server/native/libc.ts'
import type { Carrier, Errand } from '../../../server/tftp/carrier.ts'
import { openDgramCarrier } from '../../../server/tftp/dgram/run.ts'
import { decode, encode, type Options } from '../../../server/tftp/packet.ts'
import { openCarrier } from '../../../server/tftp/thread/client.ts'

const file = Buffer.from(Array.from({ length: 100_000 }, (_, n) => n * 7))

/** Takes a file as a client would that has asked for it: windows are acknowledged at their ends. */
async function take(carrier: Carrier, options: Options): Promise<{ bytes: Buffer; proven: number; outcome: string }> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const blocks: Buffer[] = []
  const blockSize = Number(options.blksize ?? 512)
  const windowSize = Number(options.windowsize ?? 1)
  socket.on('message', (bytes, from) => {
    const packet = decode(bytes)!
    if (packet.op === 'data' && packet.block === blocks.length + 1) blocks.push(packet.bytes)
    else if (packet.op !== 'oack') throw new Error(`out of order on loopback: ${packet.op}`)
    const isLast = packet.op === 'data' && packet.bytes.length < blockSize
    // Nothing at all is a packet, too: it is read, and waited for no more.
    if (blocks.length === 3) socket.send('', from.port, from.address)
    if (blocks.length % windowSize === 0 || isLast) {
      socket.send(encode({ op: 'ack', block: blocks.length }), from.port, from.address)
    }
  })
  let proven = 0
  const { ended } = carrier.carry({ ...errandTo(socket.address().port), options }, () => (proven += 1))
  const outcome = await ended
  socket.close()
  return { bytes: Buffer.concat(blocks), proven, outcome }
}

function errandTo(port: number): Errand {
  return { address: '127.0.0.1', peer: { address: '127.0.0.1', port }, file, options: {} }
}

for (const [name, open] of Object.entries({ thread: openCarrier, plain: openDgramCarrier })) {
  t.test(name, async t => {
    const carrier = open(error => t.fail(String(error)))
    for (const options of [
      {},
      { blksize: '8', windowsize: '32' },
      { blksize: '1468', windowsize: '16' },
      { windowsize: '4', tsize: '0' }
    ]) {
      const { bytes, proven, outcome } = await take(carrier, options)
      t.ok(bytes.equals(file), JSON.stringify(options))
      t.equal(proven, 1)
      t.equal(outcome, 'complete')
    }
    const closed = createSocket('udp4').bind(0, '127.0.0.1')
    await once(closed, 'listening')
    const { port } = closed.address()
    await new Promise<void>(resolve => closed.close(resolve))
    const gone = carrier.carry(errandTo(port), () => t.fail('nobody answered'))
    t.equal(await gone.ended, 'client gone', 'nobody listens there: the system says so')
    const silent = createSocket('udp4').bind(0, '127.0.0.1')
    t.teardown(() => silent.close())
    await once(silent, 'listening')
    const stopped = carrier.carry(errandTo(silent.address().port), () => t.fail('nobody answered'))
    await once(silent, 'message')
    stopped.repeat()
    await once(silent, 'message')
    stopped.stop()
    t.equal(await stopped.ended, 'stopped')
    const many = await Promise.all(Array.from({ length: 40 }, () => take(carrier, { blksize: '1468' })))
    t.same(new Set(many.map(({ bytes, outcome }) => `${outcome} ${bytes.equals(file)}`)), new Set(['complete true']))
    await t.rejects(carrier.carry({ ...errandTo(port), address: '192.0.2.1' }, () => undefined).ended)
    await carrier.close()
  })
}

t.test('a thread that dies', { skip: openLibc() === null && 'no node:ffi' }, async t => {
  const failures: unknown[] = []
  const carrier = openCarrier(error => failures.push(error))
  const lost = carrier.carry({ ...errandTo(1), peer: null as unknown as Errand['peer'] }, () => undefined)
  await t.rejects(lost.ended, { message: /the thread of transfers has ended/ })
  t.equal(failures.length, 1)
  t.equal((await take(carrier, { blksize: '1468', windowsize: '4' })).outcome, 'complete', 'the plain way goes on')
  await carrier.close()
})
