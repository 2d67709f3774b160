// Looks that are shared: how often the thing itself is looked at.

import t from 'tap'
import { shareLooks } from '../../../server/core/looks.ts'

function open(answers: (string | null | Error)[], keepMs: number) {
  const clock = { ms: 0 }
  const asked: string[] = []
  const look = shareLooks<string | null>(
    async key => {
      asked.push(key)
      const answer = answers[asked.length - 1] ?? null
      if (answer instanceof Error) throw answer
      return answer
    },
    { now: () => new Date(clock.ms), keepMs }
  )
  return { clock, asked, look }
}

t.test('who asks at the same time shares the answer, each key its own', async t => {
  const { asked, look } = open(['one', 'two'], 0)
  t.same(await Promise.all(['a', 'a', 'b', 'a'].map(look)), ['one', 'one', 'two', 'one'])
  t.same(asked, ['a', 'b'])
  t.equal(await look('a'), null, 'kept for no longer than it took')
  t.same(asked, ['a', 'b', 'a'])
})

t.test('what was found is good for a while, what is missing is looked for again', async t => {
  const { clock, asked, look } = open([null, 'one', 'two', 'three'], 1000)
  t.equal(await look('a'), null)
  t.equal(await look('a'), 'one')
  clock.ms = 999
  t.equal(await look('a'), 'one')
  clock.ms = 1000
  t.equal(await look('a'), 'two')
  clock.ms = -5000
  t.equal(await look('a'), 'three', 'a clock that was set back')
  t.equal(asked.length, 4)
})

t.test('a failure is told to all who waited, and not kept', async t => {
  const { look } = open([new Error('EIO'), 'one'], 1000)
  const both = [look('a'), look('a')]
  for (const each of both) await t.rejects(each, /EIO/)
  t.equal(await look('a'), 'one')
})
