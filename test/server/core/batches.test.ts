// Batches: one at a time, in order, whole or each on its own.

import t from 'tap'
import { createBatches } from '../../../server/core/batches.ts'

/** Batches of numbers that are written when the test says so. */
function open(sizeMax: number, patienceMs = 0) {
  const batches: { items: readonly number[]; result: PromiseWithResolvers<readonly (Error | null)[]> }[] = []
  const { add, flush } = createBatches<number>(
    sizeMax,
    items => {
      const result = Promise.withResolvers<readonly (Error | null)[]>()
      batches.push({ items, result })
      return result.promise
    },
    patienceMs
  )
  return { batches, add, flush }
}

/** Long enough for a batch to begin: it waits a turn for company, and one more as long as some comes. */
async function turn(): Promise<void> {
  for (let n = 0; n < 4; n += 1) await new Promise(resolve => setImmediate(resolve))
}

t.test('what comes meanwhile is the next batch', async t => {
  const { batches, add } = open(3)
  const done: number[] = []
  const added = [1, 2].map(n => add(n).then(() => done.push(n)))
  t.equal(batches.length, 0, 'what is here already goes along')
  await turn()
  added.push(...[3, 4, 5, 6].map(n => add(n).then(() => done.push(n))))
  await turn()
  t.same(
    batches.map(({ items }) => items),
    [[1, 2]],
    'one at a time'
  )
  t.same(done, [], 'nothing is done before it is written')
  batches[0]!.result.resolve([null, null])
  await turn()
  t.same(done, [1, 2])
  await turn()
  t.same(batches[1]?.items, [3, 4, 5], 'no more than fit')
  batches[1]!.result.resolve([null, null, null])
  await turn()
  await turn()
  t.same(batches[2]?.items, [6])
  batches[2]!.result.resolve([null])
  await Promise.all(added)
  t.same(done, [1, 2, 3, 4, 5, 6])
  await turn()
  t.equal(batches.length, 3)
})

t.test('a failure is that of one item, or of all in its batch', async t => {
  const { batches, add } = open(2)
  const outcome = async (n: number): Promise<string> =>
    add(n).then(
      () => 'written',
      (error: Error) => error.message
    )
  const seen = [1, 2, 3].map(outcome)
  await turn()
  batches[0]!.result.resolve([null, new Error('taken')])
  await turn()
  await turn()
  batches[1]!.result.reject(new Error('the disk is full'))
  t.same(await Promise.all(seen), ['written', 'taken', 'the disk is full'])
  const again = outcome(4)
  await turn()
  await turn()
  batches[2]!.result.resolve([null])
  t.equal(await again, 'written', 'and it goes on')
})

t.test('with patience, a batch that is not full waits for company', async t => {
  const { batches, add } = open(3, 20)
  const begun = performance.now()
  const added = [add(1)]
  await turn()
  t.equal(batches.length, 0)
  added.push(add(2))
  while (batches.length === 0) await turn()
  t.ok(performance.now() - begun >= 19, 'so long')
  t.same(batches[0]!.items, [1, 2])
  added.push(add(3), add(4))
  batches[0]!.result.resolve([null, null])
  await turn()
  t.equal(batches.length, 1, 'what came meanwhile waits, too')
  added.push(add(5), add(6))
  t.same(batches[1]?.items, [3, 4, 5], 'a full one waits for nobody')
  batches[1]!.result.resolve([null, null, null])
  while (batches.length === 2) await turn()
  t.same(batches[2]!.items, [6])
  batches[2]!.result.resolve([null])
  await Promise.all(added)
})

t.test('what was added so far is written at once when somebody asks for it', async t => {
  const { batches, add, flush } = open(2, 60_000)
  await flush() // nothing to wait for
  const added = [1, 2, 3, 4, 5].map(n => add(n).catch((error: Error) => error.message))
  let flushed = false
  const asked = flush().then(() => (flushed = true))
  added.push(add(6).catch((error: Error) => error.message)) // after it was asked, and not full: goes along or waits
  for (const [n, result] of [[null, null], [null, new Error('taken')], null].entries()) {
    await turn()
    t.notOk(flushed)
    t.equal(batches.length, n + 1, 'one after the other, none by its patience')
    if (result === null) batches[n]!.result.reject(new Error('the disk is full'))
    else batches[n]!.result.resolve(result)
  }
  await asked
  t.same(
    batches.map(({ items }) => items),
    [
      [1, 2],
      [3, 4],
      [5, 6]
    ]
  )
  t.same((await Promise.all(added)).map(String), [
    'undefined',
    'undefined',
    'undefined',
    'taken',
    ...Array(2).fill('the disk is full')
  ])
  add(7)
  const again = flush() // while nothing is written
  await turn()
  t.same(batches[3]?.items, [7])
  const meanwhile = flush() // while it is
  batches[3]!.result.resolve([null])
  await Promise.all([again, meanwhile])
  const last = add(8)
  await turn()
  t.equal(batches.length, 4, 'then there is patience again')
  await Promise.all([flush(), turn().then(() => batches[4]!.result.resolve([null]))])
  await last
})
