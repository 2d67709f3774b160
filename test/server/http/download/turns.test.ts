import t from 'tap'
import { afterCall, afterWait, begin } from '../../../../server/http/download/sendfile/turns.ts'

const order = { id: 1, socket: 20, file: 21, first: 100, bytes: 1000 }
const start = begin(order, 0)
const pace = { windowMs: 1000, bytesMin: 50 }

t.test('after a call of sendfile', async t => {
  const rows: Array<[name: string, result: number, errno: number, next: unknown]> = [
    ['a part', 400, 0, { ...start, sent: 400 }],
    ['all of it', 1000, 0, 'sent'],
    ['the file has ended', 0, 0, 'short'],
    ['interrupted: again', -1, 4, start],
    ['EAGAIN although it was ready: rests', -1, 11, 'rest'],
    ['EPIPE', -1, 32, 'gone'],
    ['ECONNRESET', -1, 104, 'gone'],
    ['ETIMEDOUT', -1, 110, 'gone'],
    ['EIO: the disk', -1, 5, 'failed'],
    ['EBADF', -1, 9, 'failed'],
    ['nobody knows why', -1, 0, 'failed']
  ]
  for (const [name, result, errno, next] of rows) t.same(afterCall(start, result, errno), next, name)
  t.equal(afterCall({ ...start, sent: 999 }, 1, 0), 'sent')
})

t.test('a reader is judged by what it has acknowledged, once in a window', async t => {
  const sent = { ...start, sent: 600 }
  const rows: Array<[name: string, now: number, unacknowledged: number, next: unknown]> = [
    ['not yet', 999, 600, sent],
    ['takes nothing of what the kernel holds', 1000, 600, 'slow'],
    ['takes too little', 1000, 551, 'slow'],
    ['takes enough', 1000, 550, { ...sent, mark: { atMs: 1000, taken: 50 } }]
  ]
  for (const [name, now, unacknowledged, next] of rows) {
    t.same(
      afterWait(sent, now, () => unacknowledged, pace),
      next,
      name
    )
  }
  const judged = { ...sent, mark: { atMs: 1000, taken: 50 } }
  t.equal(
    afterWait(judged, 2000, () => 550, pace),
    'slow',
    'and nothing more in the next one'
  )
})
