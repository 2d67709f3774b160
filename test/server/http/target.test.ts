import t from 'tap'
import { targetOf } from '../../../server/http/target.ts'

t.test('what firmware and shim put together', async t => {
  const rows: Array<[given: string, want: string]> = [
    ['/', '/'],
    ['//', '/'],
    ['', '/'],
    ['//grub.efi', '/grub.efi'],
    ['/sb//grubx64.efi', '/sb/grubx64.efi'],
    ['/sb/./grubx64.efi', '/sb/grubx64.efi'],
    ['/././/.//sb/.//./x', '/sb/x'],
    ['///', '/'],
    ['/sb/..//x', '/sb/../x'],
    ['/a/.hidden', '/a/.hidden'],
    ['/a.//b', '/a./b'],
    ['/a/...//b', '/a/.../b'],
    ['/x?a=//b/./c', '/x?a=//b/./c'],
    ['http://192.0.2.1:8080/assets//x?y', '/assets/x?y'],
    ['HTTP://host', '/'],
    ['http://host?x', '/?x'],
    ['*', '*']
  ]
  for (const [given, want] of rows) t.equal(targetOf(given), want, given)
  t.equal(targetOf('/.'.repeat(30_000)).length, 60_000 - 59_998, 'in one go, however long')
})
