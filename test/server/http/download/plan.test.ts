import t from 'tap'
import { planAnswer, typeOf } from '../../../../server/http/download/plan.ts'
import { later, noon } from '../../../helpers/database.ts'

const file = { bytes: 1000, modifiedMs: noon.getTime() + 500, changedNs: 255n }
const etag = '"ff-3e8"'
const at = (seconds: number): string => later(seconds).toUTCString()

function plan(asked: Record<string, string>, method = 'GET', facts = file, now = later(60)) {
  const { plan: planned, headers } = planAnswer(method, asked, facts, now)
  const part = planned.kind === 'body' ? `${planned.status} ${planned.first}+${planned.bytes}` : String(planned.status)
  return headers['content-range'] === undefined ? part : `${part} ${headers['content-range']}`
}

t.test('one range (RFC 9110 §14)', async t => {
  const rows: Array<[range: string, answer: string]> = [
    ['bytes=0-0', '206 0+1 bytes 0-0/1000'],
    ['bytes=0-', '206 0+1000 bytes 0-999/1000'],
    ['bytes=10-19', '206 10+10 bytes 10-19/1000'],
    ['BYTES=10-19', '206 10+10 bytes 10-19/1000'],
    ['bytes= 10-19 ', '206 10+10 bytes 10-19/1000'],
    ['bytes=,10-19,', '206 10+10 bytes 10-19/1000'],
    ['bytes=990-2000', '206 990+10 bytes 990-999/1000'],
    [`bytes=990-${'9'.repeat(400)}`, '206 990+10 bytes 990-999/1000'],
    ['bytes=-10', '206 990+10 bytes 990-999/1000'],
    ['bytes=-2000', '206 0+1000 bytes 0-999/1000'],
    ['bytes=-0', '416 bytes */1000'],
    ['bytes=1000-', '416 bytes */1000'],
    [`bytes=${'9'.repeat(400)}-`, '416 bytes */1000'],
    ['bytes=20-10', '200 0+1000'],
    ['bytes=0-9,20-29', '200 0+1000'],
    ['bytes=0-9x', '200 0+1000'],
    ['bytes=1e2-1e3', '200 0+1000'],
    ['bytes=0x10-', '200 0+1000'],
    ['bytes=+1-2', '200 0+1000'],
    ['bytes=-', '200 0+1000'],
    ['bytes=', '200 0+1000'],
    ['bytes 0-9', '200 0+1000'],
    ['items=0-9', '200 0+1000'],
    ['', '200 0+1000']
  ]
  for (const [range, answer] of rows) t.equal(plan({ range }), answer, range.slice(0, 40))
  t.equal(plan({ range: 'bytes=0-9' }, 'HEAD'), '200 0+1000', 'ranges are for GET alone')
  t.equal(plan({ range: 'bytes=0-' }, 'GET', { ...file, bytes: 0 }), '200 0+0')
  t.equal(plan({ range: 'bytes=-5' }, 'GET', { ...file, bytes: 0 }), '200 0+0')
  t.equal(plan({ range: 'bytes=1-' }, 'GET', { ...file, bytes: 0 }), '416 bytes */0')
  t.equal(plan({}, 'GET', { ...file, bytes: 0 }), '200 0+0')
})

t.test('preconditions (RFC 9110 §13)', async t => {
  const whole = '200 0+1000'
  const part = '206 0+10 bytes 0-9/1000'
  const rows: Array<[asked: Record<string, string>, answer: string, why?: string]> = [
    [{ 'if-none-match': etag }, '304'],
    [{ 'if-none-match': `W/${etag}` }, '304', 'weak comparison'],
    [{ 'if-none-match': `"a", ${etag}` }, '304'],
    [{ 'if-none-match': '*' }, '304'],
    [{ 'if-none-match': '"a"' }, whole],
    [{ 'if-none-match': '"a"', 'if-modified-since': at(5) }, whole, 'the date does not count beside it'],
    [{ 'if-modified-since': at(0) }, '304', 'fractions do not count'],
    [{ 'if-modified-since': at(-1) }, whole],
    [{ 'if-modified-since': 'yesterday' }, whole],
    [{ 'if-modified-since': '2026-01-01' }, whole],
    [{ 'if-modified-since': 'Sunday, 06-Nov-94 08:49:37 GMT' }, whole],
    [{ 'if-modified-since': 'Sun Nov  6 08:49:37 2094' }, '304'],
    [{ 'if-match': etag }, whole],
    [{ 'if-match': '*' }, whole],
    [{ 'if-match': `W/${etag}` }, '412', 'strong comparison'],
    [{ 'if-match': '"a"' }, '412'],
    [{ 'if-match': etag, 'if-unmodified-since': at(-5) }, whole],
    [{ 'if-unmodified-since': at(-5) }, '412'],
    [{ 'if-unmodified-since': at(0) }, whole],
    [{ 'if-match': '"a"', 'if-none-match': etag }, '412', 'this one is asked first'],
    [{ range: 'bytes=0-9', 'if-range': etag }, part],
    [{ range: 'bytes=0-9', 'if-range': `W/${etag}` }, whole, 'strong comparison'],
    [{ range: 'bytes=0-9', 'if-range': '"a"' }, whole],
    [{ range: 'bytes=0-9', 'if-range': at(0) }, part],
    [{ range: 'bytes=0-9', 'if-range': at(1) }, whole, 'the very date alone'],
    [{ range: 'bytes=0-9', 'if-range': 'x' }, whole],
    [{ range: 'bytes=5000-', 'if-none-match': etag }, '304'],
    [{ range: 'bytes=5000-', 'if-range': '"a"' }, whole]
  ]
  for (const [asked, answer, why = ''] of rows) t.equal(plan(asked), answer, `${JSON.stringify(asked)} ${why}`)
  const fresh = plan({ range: 'bytes=0-9', 'if-range': at(0) }, 'GET', file, noon)
  t.equal(fresh, whole, 'a date of this very second proves nothing: more may be written in it')
})

t.test('types by name', async t => {
  t.same(['grubx64.efi', 'vmlinuz', 'x.ks', 'efi', '.treeinfo', 'a.constructor'].map(typeOf), [
    'application/efi',
    'application/octet-stream',
    'text/plain; charset=utf-8',
    'application/efi',
    'text/plain; charset=utf-8',
    'application/octet-stream'
  ])
})
