// slipway assets, run as a program: what it takes, what it refuses, what it leaves behind when it fails.

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  chownSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { execa } from 'execa'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { unpack } from '../../../server/cli/assets/archive.ts'
import { importSources, type ImportOptions } from '../../../server/cli/assets/import.ts'
import { fetchTo } from '../../../server/cli/assets/fetch.ts'
import { missingPrograms, whyMissing } from '../../../server/cli/assets/missing.ts'
import { identityFor } from '../../../server/cli/assets/owner.ts'
import { createProgress, size } from '../../../server/cli/assets/progress.ts'
import { oldIpxe, recognise } from '../../../server/cli/assets/recognise.ts'
import { endingOf } from '../../../server/cli/failure.ts'
import { needs } from '../../helpers/require.ts'

t.setTimeout(240_000)

const main = join(import.meta.dirname, '../../../server/main.ts')
const sha256 = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex')
const cache = mkdtempSync(join(tmpdir(), 'slipway-assets-cache-'))
t.teardown(() => rmSync(cache, { recursive: true, force: true }))

/** A folder to work in, its data folder `data`, and `slipway assets` run in it. */
function place(t: Test) {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-assets-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const data = join(folder, 'data')
  writeFileSync(join(folder, 'slipway.yaml'), JSON.stringify({ data, interfaces: ['lo'] }))
  const start = (args: readonly string[], through: readonly string[] = []) => {
    const [file = '', ...rest] = [...through, process.execPath, main, 'assets', ...args]
    const env = { PATH: process.env.PATH, NODE_COMPILE_CACHE: cache }
    return spawn(file, rest, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  }
  const run = async (args: readonly string[], through: readonly string[] = []) => {
    const child = start(args, through)
    const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
    return { status: child.exitCode, out, err }
  }
  const put = (path: string, bytes: string | Buffer): string => {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), bytes)
    return path
  }
  return { folder, data, start, run, put }
}

/** The same in this process, which is ten times cheaper: the status and what would be said, of rows of a table. */
async function importHere(data: string, source: string, options: Partial<ImportOptions> = {}) {
  mkdirSync(data, { recursive: true })
  const deps = { data, who: identityFor(data), now: () => new Date(), progressOf: () => quiet }
  try {
    const { files: taken, skipped } = await importSources([source], { as: null, sha256: null, ...options }, deps)
    return { status: 0, said: [...taken.map(({ path, result }) => `${path} ${result}`), ...skipped].join('\n') }
  } catch (error) {
    const { exitCode, text: said } = endingOf(error)
    return { status: exitCode, said }
  }
}

const quiet = createProgress('', process.stderr, () => 0)

/** Nothing that is half there: what an import that failed may not leave. */
function leftovers(data: string): string[] {
  return globSync('**/{.importing-*,*.part,assets.lock}', { cwd: data })
}

function files(data: string): string[] {
  return globSync('{boot,assets,agents,extensions}/**/{*,.treeinfo}', { cwd: data })
    .filter(path => statSync(join(data, path)).isFile())
    .toSorted()
}

t.test('files are known by the names that distributions use', async t => {
  const rows: Array<[path: string, want: string | null]> = [
    ['undionly.kpxe', 'boot/undionly.kpxe'],
    ['usr/lib/ipxe/snponly.efi', 'boot/snponly.efi'],
    ['usr/lib/ipxe/ipxe-amd64.efi', 'boot/ipxe.efi'],
    ['boot/ipxe.efi', 'boot/ipxe.efi'],
    ['ipxe-arm64.efi', 'boot/ipxe-arm64.efi'],
    ['usr/lib/shim/shimx64.efi.signed', 'boot/shimx64.efi'],
    ['usr/lib/shim/mmx64.efi.signed', 'boot/mmx64.efi'],
    ['usr/lib/shim/fbx64.efi.signed', 'boot/fbx64.efi'],
    ['usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed', 'boot/grubx64.efi'],
    ['usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed', null],
    ['usr/lib/grub/arm64-efi-signed/grubnetaa64.efi.signed', 'boot/grubaa64.efi'],
    ['boot/efi/EFI/centos/shimx64.efi', 'boot/shimx64.efi'],
    ['boot/efi/EFI/fedora/grubaa64.efi', 'boot/grubaa64.efi'],
    ['mnt/EFI/BOOT/BOOTX64.EFI', 'boot/shimx64.efi'],
    ['mnt/BOOTX64.EFI', null],
    ['dist/slipway-agent-x86_64', 'agents/slipway-agent-x86_64'],
    ['slipway-agent-riscv', null],
    ['kubernetes-v1.36.3-arm64.raw', 'extensions/kubernetes-v1.36.3-arm64.raw'],
    ['vmlinuz', null],
    ['not-undionly.kpxe', null]
  ]
  for (const [path, want] of rows) t.equal(recognise(path)?.path ?? null, want, path)
  t.equal(oldIpxe('ipxe_1.0.0+git-20190125.36a4c85-5.1_all.deb'), 2019)
  t.equal(oldIpxe('ipxe_1.0.0+git-20250106.5a0fb3a-1_all.deb'), null)
  t.same([0, 1023, 1024, 1536 * 1024, 5 * 1024 ** 3].map(size), ['0 B', '1023 B', '1.0 KiB', '1.5 MiB', '5.0 GiB'])
})

t.test('folders and files, listed and verified', async t => {
  const { folder, data, run, put } = place(t)
  put('ipxe/undionly.kpxe', 'bios')
  put('ipxe/ipxe.efi', 'uefi')
  put('ipxe/README', 'nobody wants this')
  put('tree/.treeinfo', '[general]')
  put('tree/images/pxeboot/vmlinuz', 'kernel')
  put('tree/.git/config', 'hidden')
  put('tree/a file', 'a blank')
  put('slipway-agent-arm64', 'agent')
  t.match(await run(['import', 'tree']), { status: 1, err: /looks like an installer, which needs a name: --as NAME/ })
  t.match(await run(['import', 'ipxe/README']), { status: 1, err: /known by its name .*--as FOLDER\/NAME/ })
  t.match(await run(['import', 'nothing']), { status: 1, err: /nothing cannot be read: ENOENT/ })
  for (const as of ['../x', '.hidden', 'a b', 'boot', '/etc', 'boot/../../x']) {
    const ended = await importHere(data, join(folder, 'ipxe/README'), { as })
    t.match(ended, { status: 2, said: /--as wants a path below/ }, as)
  }
  t.match(await run(['import', 'ipxe', 'slipway-agent-arm64', 'ipxe/ipxe.efi']), { status: 1, err: /would come from/ })
  t.same(files(data), [], 'nothing of what was refused')

  t.match(await run(['import', 'ipxe', 'slipway-agent-arm64']), { status: 0, out: /boot\/ipxe\.efi imported, 4 B/ })
  const tree = await run(['import', 'tree', '--as', 'c10/'])
  t.match(tree, { status: 0, err: /left out: .*a file: no name that machines may ask for/ })
  t.match(await run(['import', 'ipxe/README', '--as', 'boot/other.efi', '--sha256', sha256('nobody wants this')]), {
    status: 0
  })
  put('data/assets/by-hand', 'copied there')
  t.match(await run(['import', 'ipxe']), { out: /boot\/ipxe\.efi unchanged/ })
  put('ipxe/ipxe.efi', 'newer')
  t.match(JSON.parse((await run(['import', 'ipxe', '-o', 'json'])).out), {
    files: [
      { path: 'boot/ipxe.efi', result: 'replaced', size: 5, sha256: sha256('newer') },
      { path: 'boot/undionly.kpxe', result: 'unchanged' }
    ],
    skipped: []
  })
  const all = [
    'agents/slipway-agent-arm64',
    'assets/by-hand',
    'assets/c10/.treeinfo',
    'assets/c10/images/pxeboot/vmlinuz',
    'boot/ipxe.efi',
    'boot/other.efi',
    'boot/undionly.kpxe'
  ]
  t.same(files(data), all)
  t.same(leftovers(data), [])
  t.equal(statSync(data).mode & 0o777, 0o700)
  const listed = await run(['list'])
  t.match(listed.out, /^PATH +SIZE +SHA-256 +STATE +FROM/)
  t.match(listed.out, /boot\/ipxe\.efi +5 B +[0-9a-f]{12} +ok/)
  t.match(listed.out, /assets\/by-hand +12 B +- +not recorded/)
  t.match(await run(['verify']), { status: 0, out: '6 as imported, 1 not recorded\n' })

  writeFileSync(join(data, 'boot/ipxe.efi'), 'never')
  rmSync(join(data, 'boot/other.efi'))
  const states = parse((await run(['list', '-o', 'yaml'])).out) as Array<{ path: string; state: string }>
  t.same(
    states.map(({ path, state }) => [path, state]),
    all.map(path => [
      path,
      { 'boot/ipxe.efi': 'changed', 'boot/other.efi': 'missing', 'assets/by-hand': 'not recorded' }[path] ?? 'ok'
    ])
  )
  const verified = await run(['verify', '-o', 'json'])
  t.match(verified, { status: 1, err: /boot\/ipxe\.efi \(changed\), boot\/other\.efi \(missing\)/ })
  t.equal(JSON.parse(verified.out).length, 7)
  t.match(await run(['import', 'ipxe']), { status: 0, out: /ipxe\.efi replaced/ }, 'which mends it')

  writeFileSync(join(data, 'assets.json'), '{"version":1,"files":')
  for (const args of [['list'], ['verify'], ['import', 'ipxe']]) {
    t.match(await run(args), { status: 1, err: /assets\.json, which holds the digests.*put it back from a backup/ })
  }
  t.equal(readFileSync(join(data, 'assets.json'), 'utf8'), '{"version":1,"files":', 'nothing lost')
  t.same(leftovers(data), [])
})

t.test('which data folder', async t => {
  const { folder, run, put } = place(t)
  put('ipxe.efi', 'uefi')
  t.match(await run(['import', 'ipxe.efi', '--data', 'other']), { status: 0 })
  t.ok(existsSync(join(folder, 'other/boot/ipxe.efi')))
  rmSync(join(folder, 'slipway.yaml'))
  if (!existsSync('/etc/slipway/slipway.yaml')) {
    t.match(await run(['list']), { status: 2, err: /no slipway\.yaml here.*--config.*--data/ })
  }
  t.match(await run(['list', '--config', 'nowhere.yaml']), { status: 2, err: /there is no nowhere\.yaml/ })
})

t.test('a hostile folder', needs({ root: true, programs: ['mkfifo', 'mknod'] }), async t => {
  const { folder, data, run, put } = place(t)
  put('outside/ipxe.efi', 'secret')
  put('bad/boot/snponly.efi', 'good')
  symlinkSync('../outside/ipxe.efi', join(folder, 'bad/ipxe.efi'))
  symlinkSync('../outside', join(folder, 'bad/undionly.kpxe'))
  symlinkSync('.', join(folder, 'bad/again'))
  await execa('mkfifo', [join(folder, 'bad/shimx64.efi')])
  await execa('mknod', [join(folder, 'bad/ipxe-arm64.efi'), 'c', '1', '5'])
  const ran = await run(['import', 'bad'])
  t.match(ran, { status: 0, out: /^boot\/snponly\.efi imported.*\n$/ })
  t.match(ran.err, /ipxe\.efi: a link to what is outside/)
  t.match(ran.err, /shimx64\.efi: neither a file nor a folder/)
  t.match(ran.err, /ipxe-arm64\.efi: neither a file nor a folder/)
  t.same(files(data), ['boot/snponly.efi'])
  for (const name of ['shimx64.efi', 'ipxe-arm64.efi']) {
    t.match(await importHere(data, join(folder, 'bad', name)), { status: 1, said: /no regular file/ }, name)
  }
})

t.test('hostile packages', needs({ root: true, programs: ['tar', 'bsdtar', 'dpkg-deb', 'mknod'] }), async t => {
  const { folder, data, put } = place(t)
  const tar = async (name: string, ...args: string[]): Promise<string> => {
    await execa('tar', ['-cPf', join(folder, name), '-C', folder, ...args])
    return name
  }
  put('ipxe.efi', 'good')
  put('evil', 'evil')
  symlinkSync('/etc', join(folder, 'link'))
  await execa('mknod', [join(folder, 'snponly.efi'), 'c', '1', '5'])
  const rows: Array<[archive: string, status: number, said: RegExp]> = [
    [
      await tar('up.tar', '--transform', 's,evil,../../../../ipxe.efi,', 'evil'),
      1,
      /cannot be unpacked|no file that is/
    ],
    [await tar('root.tar', '--transform', `s,evil,${folder}/pwned,`, 'evil'), 1, /cannot be unpacked|no file that is/],
    [await tar('link.tar', 'link', '--transform', 's,^evil,link/slipway-pwned,', 'evil'), 1, /cannot|no file that is/],
    [await tar('device.tar', 'snponly.efi', 'ipxe.efi'), 0, /ipxe\.efi imported.*\n.*snponly\.efi: neither/],
    [put('torn.rpm', 'this is no package'), 1, /torn\.rpm cannot be unpacked: /],
    [put('torn.deb', 'this is no package'), 1, /torn\.deb cannot be unpacked: /]
  ]
  for (const [archive, status, said] of rows) {
    const ended = await importHere(data, join(folder, archive))
    t.equal(ended.status, status, `${archive}: ${ended.said}`)
    t.match(ended.said, said, archive)
    t.notMatch(ended.said, /\n {4}at /, archive)
  }
  t.same(files(data), ['boot/ipxe.efi'])
  t.notOk(existsSync('/etc/slipway-pwned') || existsSync(join(folder, 'pwned')))
  t.same(leftovers(data), [])

  put('bomb', Buffer.alloc(8 * 1024 * 1024))
  await tar('bomb.tar', 'bomb')
  mkdirSync(join(folder, 'out'))
  const work = unpack(join(folder, 'bomb.tar'), 'bomb.tar', join(folder, 'out'), identityFor(folder), 1024 * 1024)
  await t.rejects(work, { name: 'Failure', message: /unpacks to more than 1 MiB/ })
})

t.test('real packages of Debian', needs({ programs: ['apt-get', 'dpkg-deb', 'bsdtar', 'tar'] }), async t => {
  const { folder, data, run } = place(t)
  mkdirSync(join(folder, 'debs'), { mode: 0o777 })
  const got = await execa('apt-get', ['download', 'ipxe', 'shim-signed'], { cwd: join(folder, 'debs'), reject: false })
  const debs = readdirSync(join(folder, 'debs')).map(name => join('debs', name))
  if (got.exitCode !== 0 && process.env.SLIPWAY_REQUIRE !== 'all')
    return t.pass('the packages cannot be downloaded here')
  t.match(await run(['import', ...debs]), { status: 0, out: /boot\/undionly\.kpxe imported/ })
  t.match(files(data), ['boot/ipxe.efi', 'boot/shimx64.efi', 'boot/snponly.efi', 'boot/undionly.kpxe'])
  t.match((await run(['list', '-o', 'json'])).out, /ipxe_[^ ]*deb: usr\/lib\/ipxe\/undionly\.kpxe/)
  const only = join(folder, 'bin')
  mkdirSync(only)
  for (const name of ['bsdtar', 'tar', 'xz', 'zstd', 'gzip']) {
    const found = ['/usr/bin', '/bin'].map(each => join(each, name)).find(existsSync)
    if (found !== undefined) symlinkSync(found, join(only, name))
  }
  t.match(await run(['import', ...debs, '--data', 'again'], ['env', `PATH=${only}`]), { status: 0 }, 'without dpkg')
  t.same(files(join(folder, 'again')), files(data))
  rmSync(join(only, 'bsdtar'))
  t.match(await run(['import', ...debs, '--data', 'again'], ['env', `PATH=${only}`]), {
    status: 1,
    err: /needs the program dpkg-deb or bsdtar to be unpacked/
  })
})

async function web(t: Test, answer: RequestListener): Promise<string> {
  const server = createServer(answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test('URLs', async t => {
  const { data, run } = place(t)
  const asked: Array<string | undefined> = []
  const url = await web(t, (request, reply) => {
    asked.push(request.headers.authorization, request.headers.cookie)
    const to: Record<string, string> = {
      '/moved/ipxe.efi': '/ipxe.efi',
      '/loop': '/loop',
      '/file': 'file:///etc/passwd',
      '/user': 'http://user:secret@127.0.0.1/ipxe.efi',
      '/nonsense': 'http://'
    }
    const where = to[request.url!]
    if (where !== undefined) reply.writeHead(302, { location: where }).end()
    else if (request.url === '/torn/ipxe.efi') {
      reply.writeHead(200, { 'content-length': 1000 })
      reply.write('half', () => request.socket.destroy())
    } else if (request.url!.startsWith('/ipxe.efi')) reply.end('from afar')
    else reply.writeHead(404).end()
  })
  const good = sha256('from afar')
  const rows: Array<[source: string, sha256: string | null, status: number, said: RegExp]> = [
    [`${url}/ipxe.efi`, null, 2, /needs --sha256 HEX.*machines run what comes from there/],
    [`ftp://127.0.0.1/ipxe.efi`, good, 2, /only https/],
    [`http://me:pass@127.0.0.1/ipxe.efi`, good, 2, /without user and password/],
    [`${url}/ipxe.efi`, sha256('other'), 1, new RegExp(`has the SHA-256 ${good}, not`)],
    [`${url}/none`, good, 1, /answers with status 404/],
    [`${url}/loop`, good, 1, /redirects more than 5 times/],
    [`${url}/file`, good, 1, /redirects to .*only https/],
    [`${url}/user`, good, 1, /redirects to http:\/\/127\.0\.0\.1\/ipxe\.efi: only/],
    [`${url}/nonsense`, good, 1, /redirects to what is no URL/],
    [`${url}/torn/ipxe.efi`, good, 1, /did not come whole .*nothing was kept: try again/],
    ['http://127.0.0.1:2/ipxe.efi', good, 1, /did not come whole \(ECONNREFUSED\)/]
  ]
  for (const [source, digest, status, said] of rows) {
    const ended = await importHere(data, source, { sha256: digest })
    t.equal(ended.status, status, source)
    t.match(ended.said, said, source)
    t.notMatch(ended.said, /pass@|secret|\n {4}at /)
    t.same(leftovers(data), [])
    t.same(files(data), [])
  }
  t.match(await run(['import', `${url}/ipxe.efi`, '--sha256', 'abc']), { status: 2, err: /64 hexadecimal digits/ })
  t.match(await run(['import', `${url}/moved/ipxe.efi#sha256=${good}`]), { status: 0, out: /ipxe\.efi imported, 9 B/ })
  t.match(await run(['import', `${url}/ipxe.efi?token=hidden`, '--sha256', good]), { status: 0, out: /unchanged/ })
  t.match(await run(['import', `${url}/ipxe.efi?token=hidden`, '--sha256', good, '--as', 'x/y']), { status: 0 })
  t.notMatch(readFileSync(join(data, 'assets.json'), 'utf8'), /hidden/)
  t.same([...new Set(asked)], [undefined], 'no credentials go along')
})

t.test('a server that is silent, or says too much', async t => {
  const { folder } = place(t)
  const url = await web(t, (request, reply) => {
    if (request.url === '/slow') reply.writeHead(200).write('x')
    else if (request.url === '/long') reply.writeHead(200, { 'content-length': 2 ** 40 }).write('x')
    else if (request.url === '/endless') {
      const more = (error?: Error | null): void => void (error ?? reply.write(Buffer.alloc(65_536), more))
      more()
    }
  })
  for (const [path, silenceMs, said] of [
    ['/mute', 300, /nothing came for 0\.3 s/],
    ['/slow', 300, /nothing came for 0\.3 s/],
    ['/long', 60_000, /larger than 1 MiB/],
    ['/endless', 60_000, /larger than 1 MiB/]
  ] as const) {
    const bounds = { bytesMax: 1024 * 1024, silenceMs }
    const file = join(folder, 'got')
    await t.rejects(fetchTo(file, { url: new URL(url + path), sha256: sha256('') }, quiet, bounds), {
      message: said
    })
    t.notOk(existsSync(file), path)
  }
})

t.test('one at a time, and a dead one is no hindrance', async t => {
  const { data, run, start, put } = place(t)
  let asked: () => void = () => undefined
  const begun = new Promise<void>(resolve => (asked = resolve))
  const url = await web(t, (_request, reply) => {
    reply.writeHead(200).write('x')
    asked()
  })
  put('ipxe.efi', 'uefi')
  const slow = start(['import', `${url}/snponly.efi`, '--sha256', sha256('')])
  t.teardown(() => slow.kill('SIGKILL'))
  await begun
  t.match(await run(['import', 'ipxe.efi']), {
    status: 1,
    err: /another import \(process \d+\) works in .*wait for it/
  })
  slow.kill('SIGKILL')
  await once(slow, 'exit')
  t.not(leftovers(data).length, 0, 'it could not clean up')
  t.match(await run(['import', 'ipxe.efi']), { status: 0, out: /ipxe\.efi imported/ })
  t.same(leftovers(data), [])
})

t.test('a full disk', needs({ root: true, programs: ['unshare', 'mount'] }), async t => {
  const { folder, data, run, put } = place(t)
  put('big/ipxe.efi', Buffer.alloc(1024 * 1024, 1))
  put('big/snponly.efi', Buffer.alloc(1024 * 1024, 2))
  put('small/ipxe.efi', 'old')
  mkdirSync(data)
  // The disk is seen by the program alone, and what it holds at the end is told before it is gone.
  const script = `mount -t tmpfs -o size=1500k,mode=700 tmpfs ${data} && "$@" import small >&2; "$@" import big; echo "status $?"
    cd ${data} && ls -A . boot && wc -c boot/ipxe.efi`
  const inside = ['unshare', '-m', 'sh', '-c', script, 'sh', process.execPath, main, 'assets']
  const child = await execa(inside[0]!, inside.slice(1), { cwd: folder, reject: false })
  t.match(child.stderr, /the disk of .*data is full: free some space and try again; nothing was changed/)
  t.match(child.stdout, /^status 1\n/)
  t.match(child.stdout, /boot:\nipxe\.efi\n3 boot/)
  t.notMatch(child.stdout, /importing|lock/)
  t.ok(run)
})

t.test('root works as the user whom the folder belongs to', needs({ root: true }), async t => {
  const { folder, data, run, put } = place(t)
  const nobody = 65_534
  put('snponly.efi', 'for root alone')
  put('ipxe.efi', 'uefi')
  put('victim/file', 'of root')
  mkdirSync(join(data, 'boot'), { recursive: true })
  for (const path of ['.', 'boot']) chownSync(join(data, path), nobody, nobody)
  await execa('chmod', ['600', join(folder, 'snponly.efi')])
  await execa('chmod', ['711', folder])
  t.match(await run(['import', 'snponly.efi']), { status: 0 })
  for (const path of ['boot/snponly.efi', 'assets.json']) t.equal(statSync(join(data, path)).uid, nobody, path)
  // That user has put a link where root would write.
  rmSync(join(data, 'boot'), { recursive: true })
  symlinkSync(join(folder, 'victim'), join(data, 'boot'))
  t.match(await run(['import', 'ipxe.efi']), { status: 1 })
  t.same(readdirSync(join(folder, 'victim')), ['file'])
})

t.test('what is missing is named, with what brings it', async t => {
  const { folder, data, put } = place(t)
  put('ipxe.efi', 'uefi')
  await importHere(data, join(folder, 'ipxe.efi'))
  const all = await missingPrograms(data, ['ipxe'])
  t.same(
    all.map(({ path }) => path),
    ['boot/undionly.kpxe', 'boot/snponly.efi', 'boot/ipxe-arm64.efi']
  )
  t.match(all[0]!.message, /BIOS machines .*apt-get install ipxe .*slipway assets import \/usr\/lib\/ipxe/)
  const signed = await missingPrograms(data, ['shim'])
  t.match(signed.find(({ path }) => path === 'boot/grubx64.efi')!.message, /import \/usr\/lib\/grub\/x86_64-efi-signed/)
  t.match(whyMissing('strange'), /slipway assets import/)
  const child = spawn(process.execPath, [main, 'check', '-o', 'json'], { cwd: folder })
  const [out] = await Promise.all([text(child.stdout), once(child, 'close')])
  t.equal(child.exitCode, 0, 'a note is no problem')
  t.match(JSON.parse(out), { problems: [], notes: all })
  writeFileSync(join(data, 'assets.json'), '{')
  const again = spawn(process.execPath, [main, 'check'], { cwd: folder })
  t.match(await text(again.stdout), /is right\nnote: data: .*assets\.json.*backup/)
})
