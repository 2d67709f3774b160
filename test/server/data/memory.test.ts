// Files in memory: one copy however many ask, shared with threads, within a bound.

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openMemory } from '../../../server/data/assets/memory/files.ts'

function folder(t: Test): (name: string, bytes: string) => string {
  const root = mkdtempSync(join(tmpdir(), 'slipway-memory-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  return (name, bytes) => {
    const path = join(root, name)
    writeFileSync(path, bytes)
    return path
  }
}

t.test('one copy, until the file changes', async t => {
  const put = folder(t)
  const read = openMemory()
  const path = put('ipxe.efi', 'one')
  const [first, ...others] = await Promise.all(Array.from({ length: 64 }, () => read(path)))
  t.equal(String(first), 'one')
  t.ok(others.every(other => other === first))
  t.ok(first!.buffer instanceof SharedArrayBuffer, 'lent to a thread, not copied')
  put('ipxe.efi', 'two')
  utimesSync(path, new Date(), new Date(Date.UTC(2027, 0, 1)))
  t.equal(String(await read(path)), 'two')
  t.equal(String(first), 'one', 'who sends it goes on with what he began with')
  t.equal(String(await read(put('empty', ''))), '')
})

t.test('within its bound: what was not asked for longest goes first', async t => {
  const put = folder(t)
  const read = openMemory({ fileBytesMax: 10, bytesMax: 20 })
  const paths = ['a', 'b', 'c'].map(name => put(name, name.repeat(8)))
  const [a, b] = [await read(paths[0]!), await read(paths[1]!)]
  t.equal(await read(paths[0]!), a)
  await read(paths[2]!)
  t.equal(await read(paths[0]!), a, 'asked for again in between')
  t.not(await read(paths[1]!), b)
  t.equal(await read(put('large', 'x'.repeat(11))), null)
})

t.test('what is no file', async t => {
  const put = folder(t)
  const read = openMemory()
  const file = put('file', 'x')
  t.equal(await read(`${file}-not`), null)
  t.equal(await read(join(file, 'below')), null)
  mkdirSync(`${file}-folder`)
  t.equal(await read(`${file}-folder`), null)
  execFileSync('mkfifo', [`${file}-pipe`])
  t.equal(await read(`${file}-pipe`), null, 'nobody waits for a writer')
})
