// What must not work, against the live server on loopback with a real data folder: each item of a list of attacks that
// other TFTP servers fell to. What is asked for is never outside, what is answered is never more than it should be.

import { createSocket, type Socket } from 'node:dgram'
import { EventEmitter, once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { openKept, openMemory } from '../../../server/data/assets/memory/files.ts'
import { openFiles } from '../../../server/http/files.ts'
import { decode, encode, type Options, type Packet } from '../../../server/tftp/packet.ts'
import { startTftp, type Transfer } from '../../../server/tftp/server.ts'
import { openCarrier } from '../../../server/tftp/thread/client.ts'
import { fetchFile } from '../../lab/tftp-client.ts'

const FILE = Buffer.alloc(300_000, 'an honest boot program ')

interface World {
  readonly port: number
  readonly transfers: Transfer[]
  /** Resolves when so many requests have ended with that outcome. */
  readonly ended: (outcome: Transfer['outcome'], count: number) => Promise<void>
  readonly client: (address?: string) => Promise<Client>
}

interface Client {
  readonly socket: Socket
  readonly heard: Packet[]
  readonly bytes: () => number
  readonly send: (bytes: Buffer, port?: number) => Promise<void>
  /** The answer and its port; null when the server says that it ignores this. */
  readonly ask: (bytes: Buffer) => Promise<{ packet: Packet; port: number } | null>
}

async function start(t: Test): Promise<World> {
  const data = mkdtempSync(join(tmpdir(), 'slipway-tftp-hostile-'))
  for (const folder of ['boot', 'boot/grub', 'boot-evil', 'assets']) mkdirSync(join(data, folder))
  writeFileSync(join(data, 'secret'), 'secret')
  writeFileSync(join(data, 'boot-evil/secret'), 'secret')
  writeFileSync(join(data, 'boot/ipxe.efi'), FILE)
  writeFileSync(join(data, 'boot/grub/fs.lst'), 'fs')
  symlinkSync(join(data, 'secret'), join(data, 'boot/link-out'))
  symlinkSync(join(data, 'boot-evil'), join(data, 'boot/folder-out'))
  symlinkSync('ipxe.efi', join(data, 'boot/link-within'))
  const read = openKept(openFiles(data).locate, openMemory())
  const transfers: Transfer[] = []
  const told = new EventEmitter()
  const carrier = openCarrier(error => t.fail(String(error)))
  const server = await startTftp('127.0.0.1', 0, {
    read: name => read(name.startsWith('assets/') ? name.slice('assets/'.length) : `boot/${name}`),
    done: transfer => {
      transfers.push(transfer)
      told.emit('done')
      if (transfer.outcome === 'ignored' || transfer.outcome === 'busy') told.emit('unanswered')
    },
    failed: error => t.fail(String(error)),
    now: () => new Date(),
    carrier
  })
  t.teardown(async () => {
    await server.close()
    await carrier.close()
    rmSync(data, { recursive: true, force: true })
  })
  const count = (outcome: Transfer['outcome']): number => transfers.filter(one => one.outcome === outcome).length
  const ended = async (outcome: Transfer['outcome'], wanted: number): Promise<void> => {
    while (count(outcome) < wanted) await once(told, 'done')
  }
  const client = (address = '127.0.0.1'): Promise<Client> => openClient(t, server.port, address, told)
  return { port: server.port, transfers, ended, client }
}

async function openClient(t: Test, port: number, address: string, told: EventEmitter): Promise<Client> {
  const socket = createSocket('udp4').bind(0, address)
  await once(socket, 'listening')
  t.teardown(() => socket.close())
  const heard: Packet[] = []
  let size = 0
  socket.on('message', bytes => {
    size += bytes.length
    heard.push(decode(bytes)!)
  })
  const send = (bytes: Buffer, to = port): Promise<void> =>
    new Promise((resolve, reject) =>
      socket.send(bytes, to, '127.0.0.1', error => (error === null ? resolve() : reject(error)))
    )
  async function ask(bytes: Buffer) {
    const over = new AbortController()
    const answer = once(socket, 'message', { signal: over.signal }).then(([reply, from]) => ({
      packet: decode(reply as Buffer)!,
      port: (from as { port: number }).port
    }))
    const unanswered = once(told, 'unanswered', { signal: over.signal }).then(() => null)
    await send(bytes)
    const found = await Promise.race([answer, unanswered])
    over.abort()
    await Promise.allSettled([answer, unanswered])
    return found
  }
  return { socket, heard, bytes: () => size, send, ask }
}

function rrq(filename: string, options: Options = {}): Buffer {
  return encode({ op: 'rrq', filename, mode: 'octet', options })
}

const names: Array<[what: string, name: string, code: 1 | 2]> = [
  ['../', '../secret', 2],
  ['../ further on', 'grub/../../secret', 2],
  ['../ below assets', 'assets/../secret', 2],
  ['..\\', '..\\secret', 2],
  ['....//', '....//secret', 2],
  ['...', '.../secret', 2],
  ['%2e%2e', '%2e%2e/secret', 2],
  ['absolute', '/etc/passwd', 1],
  ['absolute, with a drive', 'C:/secret', 2],
  ['UNC with backslashes', '\\\\127.0.0.1\\c$\\secret', 2],
  ['UNC with slashes', '//127.0.0.1/secret', 1],
  ['a link out', 'link-out', 1],
  ['a linked folder out', 'folder-out/secret', 1],
  ['a sibling with the same beginning', '../boot-evil/secret', 2],
  ['a sibling, from the root', 'boot-evil/secret', 1],
  ['a sibling of a folder of assets', 'assets/boot-evil/secret', 1],
  ['a folder', 'grub', 1],
  ['a folder with a slash', 'grub/', 1],
  ['a dot file', '.secret', 1],
  ['the root', '/', 2],
  ['control characters', 'a\r\nb', 2],
  ['half a surrogate and more', '\u00c0\u00ae\u00c0\u00ae/secret', 2],
  ['a name of an object of ours', 'constructor', 1]
]

t.test('names', async t => {
  const { client } = await start(t)
  const { ask } = await client()
  for (const [what, name, code] of names) t.match((await ask(rrq(name)))?.packet, { op: 'error', code }, what)
  for (const name of ['ipxe.efi', '//ipxe.efi', './ipxe.efi', 'link-within', 'assets/boot/ipxe.efi', 'grub/fs.lst']) {
    const { ask: askOnce } = await client('127.0.0.2')
    const answer = await askOnce(rrq(name))
    t.match(answer?.packet, { op: 'data', block: 1 }, name)
    await askOnce(encode({ op: 'wrq', filename: 'this port begins anew' }))
  }
})

const malformed: Array<[what: string, bytes: Buffer]> = [
  ['a NUL within the name', Buffer.from('\0\u0001ipxe.efi\0../../secret\0octet\0', 'latin1')],
  ['a name of 64 KB', rrq('a'.repeat(65_000))],
  ['a name of 64 KB made of ../', rrq('../'.repeat(21_000))],
  ['no NUL', Buffer.from('\0\u0001ipxe.efi octet', 'latin1')],
  ['a mode that never ends', Buffer.from('\0\u0001ipxe.efi\0octet', 'latin1')],
  ['no name', Buffer.from('\0\u0001\0octet\0', 'latin1')],
  ['an operation of its own', Buffer.from('\0\u0009ipxe.efi\0octet\0', 'latin1')],
  ['one byte', Buffer.alloc(1)],
  ['an ACK out of nowhere', encode({ op: 'ack', block: 1 })],
  ['DATA out of nowhere', encode({ op: 'data', block: 1, bytes: Buffer.alloc(512) })],
  ['an ERROR out of nowhere', encode({ op: 'error', code: 0, message: 'x' })]
]

t.test('requests that are none are not answered', async t => {
  const { client, transfers } = await start(t)
  const { ask, heard } = await client()
  for (const [what, bytes] of malformed) t.equal(await ask(bytes), null, what)
  t.ok(transfers.every(({ outcome }) => outcome === 'ignored'))
  t.same(heard, [])
})

const options: Array<[asked: Options, agreed: Options]> = [
  [{ blksize: '0' }, {}],
  [{ blksize: '7' }, {}],
  [{ blksize: '65465' }, {}],
  [{ blksize: '65464' }, { blksize: '1468' }],
  [{ windowsize: '0' }, {}],
  [{ windowsize: '65535' }, { windowsize: '32' }],
  [{ windowsize: '65536' }, {}],
  [{ tsize: '999999999' }, { tsize: '300000' }],
  [{ tsize: '-1' }, {}],
  [{ timeout: '0' }, {}],
  [{ timeout: '255' }, {}],
  [{ blksize: '1e3', windowsize: ' 4', tsize: '0x0' }, {}],
  [{ multicast: '', blksize: '1024' }, { blksize: '1024' }]
]

t.test('options that are too little, too much, or lies', async t => {
  const { client } = await start(t)
  for (const [asked, agreed] of options) {
    const { ask } = await client()
    const answer = (await ask(rrq('ipxe.efi', asked)))?.packet
    const title = `${JSON.stringify(asked)} gives ${JSON.stringify(agreed)}`
    if (Object.keys(agreed).length === 0) t.match(answer, { op: 'data', block: 1 }, title)
    else t.match(answer, { op: 'oack', options: agreed }, title)
    if (answer?.op === 'oack') t.same(Object.keys(answer.options), Object.keys(agreed))
    await ask(encode({ op: 'wrq', filename: 'this port begins anew' }))
  }
})

t.test('writes are refused, and nothing is written', async t => {
  const { client, ended } = await start(t)
  const { ask } = await client()
  for (const filename of ['ipxe.efi', 'new.efi', '../boot/ipxe.efi']) {
    t.match((await ask(encode({ op: 'wrq', filename })))?.packet, { op: 'error', code: 2 }, filename)
  }
  await ended('refused', 3)
})

t.test('ACK storms: each block is sent once, whatever is repeated', async t => {
  const { client, ended, transfers } = await start(t)
  const { ask, send, heard, socket } = await client()
  const first = await ask(rrq('ipxe.efi'))
  const blocks = Math.floor(FILE.length / 512) + 1
  for (let block = 1; block <= blocks; block++) {
    if (block > 1) while (heard.length < block) await once(socket, 'message')
    const storm = [block - 1, block, block, block, block + 1, block + 40_000]
    for (const number of storm) await send(encode({ op: 'ack', block: number & 0xffff }), first!.port)
  }
  await ended('complete', 1)
  t.equal(heard.length, blocks, 'as many packets as blocks')
  t.same(
    heard.map(packet => packet.op === 'data' && packet.block),
    Array.from({ length: blocks }, (_, n) => n + 1)
  )
  t.match(transfers, [{ outcome: 'complete', bytes: FILE.length }])
})

t.test('who never answers is sent little, and a flood in his name less than it costs', async t => {
  const { client, ended, transfers } = await start(t)
  const one = await client('127.0.0.3')
  await one.send(rrq('ipxe.efi'))
  await ended('timed out', 1)
  t.ok(one.bytes() <= 2 * 516, `${one.bytes()} bytes for one request`)

  const clients = await Promise.all(Array.from({ length: 50 }, () => client('127.0.0.4')))
  let sent = 0
  for (let round = 0; round < 20; round++) {
    for (const { send } of clients) {
      const request = rrq('ipxe.efi', round % 2 === 0 ? {} : { tsize: String(round) })
      sent += request.length
      await send(request)
    }
    await setImmediate() // the server is in this process: its socket's buffer is not to overflow
  }
  await ended('timed out', 1 + 8) // of fifty at once, eight were let in
  t.ok(transfers.some(({ outcome }) => outcome === 'busy'))
  const answered = clients.reduce((sum, each) => sum + each.bytes(), 0)
  t.ok(answered < sent, `${answered} bytes for ${sent}`)
})

t.test('one transfer for one port of a client', async t => {
  const { client, ended, transfers } = await start(t)
  const { ask, send, heard, socket } = await client()
  const first = await ask(rrq('ipxe.efi'))
  const repeated = await ask(rrq('ipxe.efi'))
  t.equal(repeated?.port, first?.port, 'asked again: the same transfer answers again')
  t.same(repeated?.packet, first?.packet)
  await send(encode({ op: 'ack', block: 1 }), first!.port)
  while (heard.length < 3) await once(socket, 'message')
  t.match(heard[2], { op: 'data', block: 2 })
  const other = await ask(rrq('grub/fs.lst'))
  await ended('aborted by client', 1)
  t.not(other?.port, first?.port, 'another file: the client has given up the first')
  await send(encode({ op: 'ack', block: 1 }), other!.port)
  await ended('complete', 1)
  t.match(
    transfers.map(({ name, outcome }) => `${name} ${outcome}`),
    ['ipxe.efi aborted by client', 'grub/fs.lst complete']
  )
})

t.test('a flood from many addresses and ports keeps nobody out for long', async t => {
  const { client, port, ended } = await start(t)
  const flood = await Promise.all(
    Array.from({ length: 400 }, (_, n) => client(`127.66.${n % 200}.${1 + Math.floor(n / 200)}`))
  )
  const pour = async (times: number): Promise<void> => {
    for (let n = 0; n < times; n++) {
      await flood[n % flood.length]!.send(rrq('ipxe.efi', { tsize: String(n) }))
      if (n % 20 === 0) await setImmediate()
    }
  }
  await pour(2_000) // code and pools grow once
  const before = process.memoryUsage().rss
  let isOver = false
  const flooding = pour(6_000).then(() => (isOver = true))
  for (let n = 1; n <= 5; n++) {
    const localAddress = `127.77.0.${n}`
    const asked = { server: '127.0.0.1', port, name: 'ipxe.efi', localAddress, blockSize: 1468, windowSize: 16 }
    t.ok((await fetchFile(asked)).equals(FILE), `honest client ${n}, ${isOver ? 'after' : 'during'} the flood`)
  }
  await flooding
  const grown = (process.memoryUsage().rss - before) / 1e6
  t.ok(grown < 150, `${grown.toFixed(0)} MB more for 6,000 requests more`)
  await ended('complete', 5)
})
