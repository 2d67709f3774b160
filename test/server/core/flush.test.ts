// A wait for the disk that is shared: who waits for which.

import t from 'tap'
import { createFlush } from '../../../server/core/flush.ts'

/** A disk that is as slow as the test likes. */
function slowDisk() {
  const waits: PromiseWithResolvers<void>[] = []
  const flush = createFlush(() => {
    const wait = Promise.withResolvers<void>()
    waits.push(wait)
    return wait.promise
  })
  return { waits, flush }
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

t.test('who comes while one wait is under way shares the next', async t => {
  const { waits, flush } = slowDisk()
  const order: string[] = []
  const ask = (name: string) => flush().then(() => order.push(name))
  const first = ask('first')
  await turn()
  t.equal(waits.length, 1)
  const others = ['second', 'third', 'fourth'].map(ask)
  await turn()
  t.equal(waits.length, 1, 'what is written now may be missed by the wait that runs')
  waits[0]!.resolve()
  await first
  await turn()
  t.equal(waits.length, 2)
  t.same(order, ['first'])
  waits[1]!.resolve()
  await Promise.all(others)
  t.same(order, ['first', 'second', 'third', 'fourth'])
  await turn()
  t.equal(waits.length, 2)
})

t.test('a disk that has failed stays failed', async t => {
  const { waits, flush } = slowDisk()
  const asked = [flush(), flush()]
  await turn()
  waits[0]!.reject(new Error('EIO'))
  for (const each of asked) await t.rejects(each, /EIO/)
  await t.rejects(flush(), /EIO/)
  await t.rejects(flush(), /EIO/)
  t.equal(waits.length, 1, 'a second try may seem to succeed')
})
