import { mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Fault } from '../../../../server/core/fault.ts'
import { openFile } from '../../../../server/http/download/files.ts'

t.test('the file that is open is the one that was vouched for', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-open-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'image')
  const put = (text: string) => {
    writeFileSync(`${path}.new`, text)
    renameSync(`${path}.new`, path)
  }
  const before = readdirSync('/proc/self/fd').length
  const served = { folder, name: 'image' }
  const opened = async (locate: (call: number) => void) => {
    let calls = 0
    const file = await openFile(async () => {
      locate(++calls)
      return served
    })
    const text = file === null ? null : await file.handle.readFile('utf8')
    await file?.handle.close()
    return `${text} ${calls}`
  }
  put('one')
  t.equal(await opened(() => {}), 'one 2', 'asked before it is opened, and after')
  t.equal(await opened(call => call === 2 && put('two')), 'two 4', 'replaced meanwhile: again, with the new one')
  t.equal(await opened(call => call === 2 && writeFileSync(path, 'three')), 'three 4', 'written to meanwhile')
  await t.rejects(
    opened(call => put(`${call}`)),
    { code: 'unavailable' },
    'and not for ever'
  )
  const refuse = (call: number): void => {
    if (call === 2) throw new Fault('unavailable', 'not what was imported')
  }
  await t.rejects(opened(refuse), { message: 'not what was imported' })
  t.equal(await openFile(async () => null), null)
  rmSync(path)
  await t.rejects(
    opened(() => {}),
    { code: 'unavailable' },
    'gone, though it was located'
  )
  symlinkSync('/etc/passwd', path)
  await t.rejects(
    opened(() => {}),
    { code: 'unavailable' },
    'a link in its place is not followed'
  )
  t.equal(readdirSync('/proc/self/fd').length, before, 'nothing is left open')
})
