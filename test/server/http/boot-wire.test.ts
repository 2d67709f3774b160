// The boot plane as a stranger meets it: bytes on a socket, without a client library that tidies them first; and curl.

import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { buildBootApp } from '../../../server/http/boot-app.ts'
import { openSender } from '../../../server/http/download/sendfile/client.ts'
import { createDownloads } from '../../../server/http/download/serve.ts'
import { bootUrl, createWorld, fakeAuthority, putDocuments } from '../../helpers/http.ts'
import { needs } from '../../helpers/require.ts'

const LARGE = 3_000_001

async function open(t: Test) {
  const world = await createWorld(t, fakeAuthority())
  await putDocuments(world, 'auto')
  const { log, now, data } = world
  const sender = openSender(log)
  t.teardown(() => sender?.close())
  const downloads = createDownloads({ log, now, sender, count: () => {} })
  const app = await buildBootApp({ ...world, downloads })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const { port } = app.server.address() as AddressInfo
  const large = Buffer.from(Array.from({ length: LARGE }, (_, at) => (at * 31 + (at >> 8)) & 255))
  writeFileSync(join(data, 'assets/large.img'), large)
  t.teardown(() => {
    if (world.logged.length > 0) throw new Error(`a bug was met: ${JSON.stringify(world.logged)}`)
  })
  return { world, app, port, data, large }
}

/** Sends the head of a request as it stands, and returns the whole answer. */
async function ask(port: number, line: string, headers: readonly string[] = [], body: Buffer | string = '') {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => socket.destroy()) // a reset is an answer
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk))
  socket.write(`${line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${headers.map(each => `${each}\r\n`).join('')}\r\n`)
  socket.write(body)
  await new Promise(resolve => socket.once('close', resolve))
  const at = text.indexOf('\r\n\r\n')
  return { status: Number(text.slice(9, 12)), head: text.slice(0, at), body: text.slice(at + 4) }
}

t.test('spellings of one path that firmware sends', async t => {
  const { port } = await open(t)
  const paths = [
    '/assets/boot/snponly.efi',
    '//assets/boot/snponly.efi',
    '/assets/boot//snponly.efi',
    '/assets//boot/./snponly.efi',
    '/./assets/boot/snponly.efi',
    '///.//assets/././/boot///snponly.efi',
    '/assets/boot/snponly.efi?x=1',
    '/assets/boot/%73nponly.efi',
    'http://192.0.2.1:8080/assets/boot//snponly.efi'
  ]
  for (const path of paths) {
    const { status, head, body } = await ask(port, `GET ${path}`)
    t.match([status, body], [200, 'ipxe'], path)
    t.notMatch(head, /^location:/im)
    t.match(await ask(port, `HEAD ${path}`), { status: 200, body: '' }, `HEAD ${path}`)
  }
})

t.test('ways out of the folders that are served', async t => {
  const { port, data } = await open(t)
  symlinkSync(join(data, 'secret.txt'), join(data, 'assets/out'))
  symlinkSync(data, join(data, 'assets/up'))
  symlinkSync('loop', join(data, 'assets/loop'))
  mkdirSync(`${data}/assets-evil`)
  writeFileSync(`${data}/assets-evil/x`, 'outside')
  writeFileSync(`${data}/slipway.db`, 'outside')
  const ways = [
    '../secret.txt',
    './../secret.txt',
    '..//secret.txt',
    'fcos/../../secret.txt',
    'boot/../../secret.txt',
    'boot/../../../../../../etc/passwd',
    '%2e%2e/secret.txt',
    '%2e%2e%2fsecret.txt',
    '..%2fsecret.txt',
    '%2e./secret.txt',
    '%252e%252e/secret.txt',
    '..\\secret.txt',
    '..%5csecret.txt',
    '....//secret.txt',
    '.../secret.txt',
    '..;/secret.txt',
    '%c0%ae%c0%ae/secret.txt',
    '%u002e%u002e/secret.txt',
    '../assets-evil/x',
    '-evil/x',
    '../slipway.db',
    'out',
    'up/secret.txt',
    'loop',
    'fcos/vmlinuz%00.txt',
    'fcos/vmlinuz/',
    'fcos/vmlinuz/.',
    '/etc/passwd',
    '%2fetc%2fpasswd',
    'file:///etc/passwd',
    'C:%5cwindows%5cwin.ini',
    '',
    '.',
    'fcos',
    'fcos/',
    'boot/',
    '.hidden',
    '%ff%fe',
    '%',
    `${'a/'.repeat(500)}x`,
    'a'.repeat(1000),
    'a'.repeat(64 * 1024)
  ]
  for (const way of ways) {
    for (const prefix of ['/assets/', '/assets/boot/', '/agent/']) {
      const { status, head, body } = await ask(port, `GET ${prefix}${way}`)
      const name = `${prefix}${way.slice(0, 60)}`
      t.ok(status >= 400 && status < 500, `${name}: ${status}`)
      t.notMatch(head, /^location:/im, `${name}: no redirect`)
      t.notMatch(body, /outside|root:|vmlinuz</, `${name}: no listing, nothing from elsewhere`)
    }
  }
})

t.test('HEAD wherever GET is, with the same head', async t => {
  const { app, port } = await open(t)
  const routes = app
    .printRoutes({ commonPrefix: false })
    .split('\n')
    .filter(line => /\bGET\b/.test(line))
  t.ok(routes.length >= 6)
  t.same(
    routes.filter(line => !/\bHEAD\b/.test(line)),
    []
  )
  const varying = /^(date|keep-alive):.*$/gim
  for (const path of [
    '/healthz',
    '/boot/ipxe',
    '/assets/large.img',
    '/assets/fcos/vmlinuz',
    '/agent/x86_64',
    '/none'
  ]) {
    const [get, head] = [await ask(port, `GET ${path}`), await ask(port, `HEAD ${path}`)]
    t.equal(head.status, get.status, path)
    t.equal(head.body, '')
    if (/^\/(assets|agent)\/./.test(path)) t.equal(head.head.replace(varying, ''), get.head.replace(varying, ''), path)
  }
})

t.test('never a redirect', async t => {
  const { port } = await open(t)
  const paths = [
    '',
    '/',
    '//',
    '/boot',
    '/boot/',
    '/boot/ipxe/',
    '/assets',
    '/agent',
    '/b/',
    '/x/../y',
    '/%2f',
    '/?a=b'
  ]
  for (const path of [...paths, bootUrl(1)]) {
    const { status, head } = await ask(port, `GET ${path === '' ? '/' : path}`)
    t.notOk(status >= 300 && status < 400, `${path}: ${status}`)
    t.notMatch(head, /^(location|refresh):/im)
  }
})

t.test('caps', async t => {
  const { port } = await open(t)
  const fields = (count: number) => Array.from({ length: count }, (_, n) => `x-${n}: 1`)
  t.equal((await ask(port, 'GET /healthz', fields(90))).status, 200)
  for (const count of [101, 1999, 2500])
    t.equal((await ask(port, 'GET /healthz', fields(count))).status, 431, `${count}`)
  const booted = `POST /b/${'0'.repeat(32)}/booted`
  const type = 'content-type: application/json'
  const long = JSON.stringify({ kernel: 'x'.repeat(2000) })
  t.equal((await ask(port, booted, [type, `content-length: ${long.length}`], long)).status, 413)
  const chunks = `${'400\r\n' + 'x'.repeat(1024)}\r\n`.repeat(50)
  t.equal((await ask(port, booted, [type, 'transfer-encoding: chunked'], chunks)).status, 413)
  t.ok([400, 413].includes((await ask(port, 'GET /healthz', ['content-length: 99999999999999999999'])).status))
  t.equal(
    (await ask(port, 'GET /healthz', ['content-length: 5', 'transfer-encoding: chunked'], '0\r\n\r\n')).status,
    400
  )
})

t.test('nothing is packed or unpacked: no bomb can go off', async t => {
  const { port, large } = await open(t)
  const accepted = await ask(port, 'GET /assets/large.img', ['accept-encoding: gzip, br, deflate, zstd'])
  t.equal(accepted.body.length, large.length)
  t.notMatch(accepted.head, /^(content|transfer)-encoding:/im)
  const headers = (bytes: Buffer) => [
    'content-type: application/json',
    'content-encoding: gzip',
    `content-length: ${bytes.length}`
  ]
  const small = gzipSync('{"platform":"efi"}')
  const reply = await ask(port, `POST /b/${'0'.repeat(32)}/booted`, headers(small), small)
  t.equal(reply.status, 400, 'read as the bytes that came, which are no JSON')
  const bomb = gzipSync(Buffer.alloc(900_000))
  t.ok(bomb.length < 1024, 'which would pass by its size')
  t.equal((await ask(port, `POST /b/${'0'.repeat(32)}/booted`, headers(bomb), bomb)).status, 400)
})

t.test('curl', needs({ programs: ['curl'] }), async t => {
  const { port, data, large } = await open(t)
  const place = `http://127.0.0.1:${port}`
  const out = join(data, 'curl.out')
  const curl = async (...args: string[]): Promise<string> =>
    (await promisify(execFile)('curl', ['-sS', '--max-time', '60', '--path-as-is', ...args])).stdout
  const url = `${place}/assets//large.img`
  await curl('-f', '-o', out, url)
  t.ok(readFileSync(out).equals(large))
  for (const size of [0, 1, 65_536, LARGE - 1]) {
    truncateSync(out, size)
    await curl('-f', '-C', '-', '-o', out, url)
    t.ok(readFileSync(out).equals(large), `resumed at ${size}`)
  }
  const rows: Array<[range: string, first: number, end: number]> = [
    ['0-0', 0, 1],
    ['100-99999', 100, 100_000],
    ['2999999-', 2_999_999, LARGE],
    ['-70000', LARGE - 70_000, LARGE]
  ]
  for (const [range, first, end] of rows) {
    t.equal(await curl('-r', range, '-o', out, '-w', '%{http_code}', url), '206')
    t.ok(readFileSync(out).equals(large.subarray(first, end)), range)
  }
  const status = async (...args: string[]) =>
    curl('-o', out, '-w', '%{http_code} %{num_redirects} %{size_download}', ...args)
  t.equal(await status('-r', '9000000-', url), `416 0 ${readFileSync(out).length}`)
  t.equal(await status('-L', url), `200 0 ${LARGE}`)
  t.equal(await status('-0', url), `200 0 ${LARGE}`, 'HTTP/1.0')
  t.equal(await status('--http2', url), `200 0 ${LARGE}`, 'an offer of HTTP/2 is not taken up')
  t.equal(await status('-I', url), '200 0 0')
  t.match(await curl('-I', url), new RegExp(`^content-length: ${LARGE}\r$`, 'im'))
  t.equal(await status('-z', out, url), '304 0 0', 'no newer than our own')
  const etag = /^etag: (.*)\r$/im.exec(await curl('-I', url))![1]!
  t.equal(await status('-H', `if-none-match: ${etag}`, url), '304 0 0')
  t.equal(await status('-H', `if-range: ${etag}`, '-r', '5-9', url), '206 0 5')
  const limited = await curl('--limit-rate', '8M', '-o', out, '-w', '%{size_download}', url)
  t.equal(limited, String(LARGE))
  const both = await curl(url, '-o', out, `${place}/agent/x86_64`, '-o', out, '-w', '%{num_connects} ')
  t.equal(both, '1 0 ', 'one connection for both')
})
