// Datagrams many at a time, over two real sockets of the loopback; and what becomes of one that the system refuses.

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { openTraffic, type Traffic } from '../../../server/dhcp/batch/socket.ts'
import { openBound, whyNotBound } from '../../../server/dhcp/bound/socket.ts'
import { DATAGRAMS_MAX, openDatagrams } from '../../../server/native/datagrams.ts'
import { openLibc } from '../../../server/native/libc.ts'
import { freePorts } from '../../lab/ports.ts'

const none = whyNotBound('lo')
const skip = none === null ? false : none
if (skip !== false && process.env['SLIPWAY_REQUIRE'] === 'all') throw new Error(skip)

const place = { device: 'lo', address: '127.0.0.1', port: 0 }

interface End {
  readonly traffic: Traffic
  readonly port: number
  readonly heard: { text: string; peer: RemoteInfo }[]
  /** Resolves when so many have been heard. */
  readonly have: (count: number) => Promise<void>
}

function openEnd(t: Test, way: 'many' | 'single'): End {
  const handle = openBound(place, 'alone')!
  const socket: Socket = createSocket('udp4')
  socket.bind({ fd: handle, exclusive: true })
  socket.setRecvBufferSize(4 << 20)
  const heard: End['heard'] = []
  const waits: { count: number; done: () => void }[] = []
  const traffic = openTraffic(socket, way === 'many' ? handle : null, (bytes, peer) => {
    heard.push({ text: bytes.toString(), peer })
    for (const { count, done } of waits) if (heard.length >= count) done()
  })
  t.teardown(() => traffic.close())
  const have = (count: number): Promise<void> =>
    new Promise(done => (heard.length >= count ? done() : void waits.push({ count, done })))
  return { traffic, port: socket.address().port, heard, have }
}

for (const way of ['many', 'single'] as const) {
  t.test(`all arrive, in order, and say where they come from (${way})`, { skip }, async t => {
    const [one, other] = [openEnd(t, way), openEnd(t, way)]
    const texts = Array.from({ length: DATAGRAMS_MAX * 3 + 7 }, (_, n) => `datagram ${n} ${'x'.repeat(n)}`)
    await Promise.all(texts.map(text => one.traffic.send(Buffer.from(text), other.port, '127.0.0.1')))
    await other.have(texts.length)
    t.same(
      other.heard.map(({ text }) => text),
      texts
    )
    const { address, port, family } = other.heard.at(-1)!.peer
    t.same([address, port, family], ['127.0.0.1', one.port, 'IPv4'])
  })

  t.test(`one that is refused says why, and the others go (${way})`, { skip }, async t => {
    const [one, other] = [openEnd(t, way), openEnd(t, way)]
    const send = (text: string, port: number): Promise<void> => one.traffic.send(Buffer.from(text), port, '127.0.0.1')
    const nowhere = send('b', 0).catch((error: NodeJS.ErrnoException) => error.code)
    const sent = [send('a', other.port), nowhere, send('c', other.port)]
    const [, why] = await Promise.all(sent)
    t.match(why, /^E/)
    await other.have(2)
    t.same(other.heard.map(({ text }) => text).toSorted(), ['a', 'c'])
  })
}

t.test('what waits is sent before the socket closes', { skip }, async t => {
  const [one, other] = [openEnd(t, 'many'), openEnd(t, 'many')]
  const sent = one.traffic.send(Buffer.from('last words'), other.port, '127.0.0.1')
  await one.traffic.close()
  await sent
  await other.have(1)
  t.match(other.heard, [{ text: 'last words' }])
})

t.test('a datagram longer than what is read is cut, and nobody else is touched', { skip }, async t => {
  const { dhcpServer: port } = await freePorts()
  const handle = openBound({ ...place, port }, 'alone')!
  t.teardown(() => openLibc()!.close(handle))
  const many = openDatagrams(handle, 16)!
  // From a socket of Node's: ours would cut them itself.
  const plain = createSocket('udp4')
  for (const text of ['short', 'y'.repeat(40), 'also short']) {
    await new Promise(resolve => plain.send(text, port, '127.0.0.1', resolve))
  }
  t.same(
    many.receive().map(({ bytes }) => bytes.toString()),
    ['short', 'y'.repeat(16), 'also short']
  )
  t.same(many.receive(), [], 'nothing waits')
  plain.close()
  await once(plain, 'close')
})
