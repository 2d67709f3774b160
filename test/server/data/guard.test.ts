// What was imported is served only as it was imported: by HTTP and by TFTP, whatever happens to the file or its record.

import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { MANIFEST } from '../../../server/data/assets/files.ts'
import { openKept, openMemory } from '../../../server/data/assets/memory/files.ts'
import { openGuard, type Refusal } from '../../../server/data/assets/guard/files.ts'
import { formatManifest, isAssetPath, parseManifest } from '../../../server/data/assets/manifest.ts'
import { openDigests } from '../../../server/data/digest/files.ts'
import { buildBootApp } from '../../../server/http/boot-app.ts'
import { openFiles } from '../../../server/http/files.ts'
import { createWorld, fakeAuthority } from '../../helpers/http.ts'

const sha256 = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex')
const big = Buffer.alloc(3 * 1024 * 1024, 'large')

function folder(t: Test) {
  const data = mkdtempSync(join(tmpdir(), 'slipway-guard-'))
  t.teardown(() => rmSync(data, { recursive: true, force: true }))
  const put = (path: string, bytes: string | Buffer): void => {
    mkdirSync(join(data, dirname(path)), { recursive: true })
    writeFileSync(join(data, path), bytes)
  }
  const entry = (bytes: string | Buffer) => ({
    sha256: sha256(bytes),
    size: bytes.length,
    modifiedMs: 0,
    at: '2026-01-02T03:04:05Z',
    from: 'here'
  })
  const record = (files: Record<string, string | Buffer>): void => {
    const manifest = new Map(Object.entries(files).map(([path, bytes]) => [path, entry(bytes)]))
    writeFileSync(join(data, `${MANIFEST}.new`), formatManifest(manifest))
    renameSync(join(data, `${MANIFEST}.new`), join(data, MANIFEST))
  }
  const refusals: Refusal[] = []
  const digestOf = openDigests()
  const guard = openGuard(data, { digestOf, refused: refusal => refusals.push(refusal) })
  return { data, put, record, refusals, guard, files: openFiles(data, guard, digestOf) }
}

t.test('the record of imports', async t => {
  const paths: Array<[string, boolean]> = [
    ['boot/ipxe.efi', true],
    ['assets/c10/.treeinfo', true],
    ['assets/c10/a/b', true],
    ['boot', false],
    ['ca/ca.key', false],
    ['assets/../ca/ca.key', false],
    ['assets//x', false],
    ['assets/.hidden', false],
    ['/boot/x', false],
    [`assets/${'x'.repeat(256)}`, false]
  ]
  for (const [path, want] of paths) t.equal(isAssetPath(path), want, path.slice(0, 40))
  const wrong = [
    '',
    '[]',
    '{"version":1}',
    '{"version":2,"files":{}}',
    '{"version":1,"files":{"boot/x":{}}}',
    `{"version":1,"files":{"../x":{"sha256":"${sha256('')}","size":0,"modifiedMs":0,"at":"2026-01-02T03:04:05Z","from":""}}}`
  ]
  for (const text of wrong) {
    t.throws(() => parseManifest(text, 'assets.json'), { name: 'Fault', code: 'invalid', message: /backup/ }, text)
  }
  t.same(parseManifest(formatManifest(new Map()), 'x'), new Map())
})

t.test('a file that was changed is not served until it is imported again', async t => {
  const { put, record, refusals, files, data } = folder(t)
  put('boot/ipxe.efi', 'good')
  put('assets/c10/vmlinuz', big)
  put('assets/by-hand', 'anything')
  put('agents/slipway-agent-arm64', 'agent')
  record({ 'boot/ipxe.efi': 'good', 'assets/c10/vmlinuz': big, 'agents/slipway-agent-arm64': 'other' })
  const asked = ['boot/ipxe.efi', 'c10/vmlinuz', 'by-hand', 'c10/vmlinuz', 'c10/vmlinuz'].map(path =>
    files.locate(path)
  )
  for (const found of await Promise.all(asked)) t.ok(found)
  await t.rejects(files.findAgent('arm64'), { code: 'unavailable' })

  put('boot/ipxe.efi', 'evil')
  const worse = Buffer.from(big)
  worse[1] = 0
  const before = statSync(join(data, 'assets/c10/vmlinuz'))
  put('assets/c10/vmlinuz', worse)
  utimesSync(join(data, 'assets/c10/vmlinuz'), before.atime, new Date(before.mtimeMs + 1))
  for (const path of ['boot/ipxe.efi', 'c10/vmlinuz', 'boot/ipxe.efi']) {
    await t.rejects(files.locate(path), { code: 'unavailable', message: /is not what was imported/ })
  }
  t.same(
    refusals.map(refusal => (refusal.kind === 'changed' ? refusal.path : refusal.kind)),
    ['agents/slipway-agent-arm64', 'boot/ipxe.efi', 'assets/c10/vmlinuz'],
    'each is told once'
  )
  record({ 'boot/ipxe.efi': 'evil', 'assets/c10/vmlinuz': worse })
  t.ok(await files.locate('boot/ipxe.efi'), 'an import is seen at once')
  t.ok(await files.locate('c10/vmlinuz'))
})

t.test('under another name it is the same file', async t => {
  const { data, put, record, files } = folder(t)
  put('assets/c10/vmlinuz', 'changed')
  record({ 'assets/c10/vmlinuz': 'recorded' })
  symlinkSync('c10', join(data, 'assets/latest'))
  await t.rejects(files.locate('latest/vmlinuz'), { code: 'unavailable' })
})

t.test('an import that is under way is waited for', async t => {
  const { put, record, refusals, files } = folder(t)
  put('boot/ipxe.efi', 'old')
  record({ 'boot/ipxe.efi': 'old' })
  t.ok(await files.locate('boot/ipxe.efi'))
  put('boot/ipxe.efi', 'new')
  const asked = files.locate('boot/ipxe.efi')
  record({ 'boot/ipxe.efi': 'new' })
  t.ok(await asked)
  t.same(refusals, [])
})

t.test('TFTP sends nothing else', async t => {
  const { put, record, files, refusals } = folder(t)
  const read = openKept(files.locate, openMemory())
  put('boot/undionly.kpxe', 'good')
  record({ 'boot/undionly.kpxe': 'good' })
  t.equal(String(await read('boot/undionly.kpxe')), 'good')
  put('boot/undionly.kpxe', 'evil!')
  await t.rejects(read('boot/undionly.kpxe'), { code: 'unavailable' })
  await t.rejects(read('boot/undionly.kpxe'), { code: 'unavailable' })
  t.equal(refusals.length, 1)
  t.equal(await read('boot/nothing'), null)
})

t.test('a record that breaks: what was known still holds, and without it nothing is served', async t => {
  const { data, put, record, refusals, guard, files } = folder(t)
  put('boot/ipxe.efi', 'good')
  record({ 'boot/ipxe.efi': 'good' })
  t.ok(await files.locate('boot/ipxe.efi'))
  writeFileSync(join(data, MANIFEST), '{')
  t.ok(await files.locate('boot/ipxe.efi'))
  put('boot/ipxe.efi', 'evil!')
  await t.rejects(files.locate('boot/ipxe.efi'), { code: 'unavailable' })
  t.match(refusals, [{ kind: 'manifest' }, { kind: 'changed' }])
  const fresh = openFiles(data, openGuard(data, { digestOf: openDigests(), refused: () => undefined }))
  await t.rejects(fresh.locate('boot/ipxe.efi'), { code: 'unavailable', message: /slipway assets list/ })
  t.ok(guard)
})

t.test('HTTP says 503 and why', async t => {
  const world = await createWorld(t, fakeAuthority())
  const { data, record, files } = folder(t)
  mkdirSync(join(data, 'boot'))
  writeFileSync(join(data, 'boot/ipxe.efi'), 'changed')
  record({ 'boot/ipxe.efi': 'recorded' })
  const app = await buildBootApp({ ...world, artifacts: files })
  t.teardown(() => app.close())
  const reply = await app.inject({ url: '/assets/boot/ipxe.efi' })
  t.equal(reply.statusCode, 503)
  t.match(reply.json().detail, /slipway assets verify/)
})
