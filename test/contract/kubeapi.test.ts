// One contract, three API servers: the simulated one of `slipway lab`, and the real ones it must not differ from.
// Everything goes through our own client, so that it is held to the truth as well.

import t from 'tap'
import { needsTools } from '../helpers/tools.ts'
import { joiningRows } from './joining.ts'
import { nodeRows } from './nodes.ts'
import { objectRows } from './objects.ts'
import { podRows } from './pods.ts'
import { realTarget, simulatedTarget, type Target } from './targets.ts'
import { watchRows } from './watching.ts'

// Two real control planes are started and restarted on the way; a busy machine needs several times the usual 30 s.
t.setTimeout(180_000)

const rows = [...objectRows, ...watchRows, ...nodeRows, ...podRows, ...joiningRows]

async function hold(title: string, start: () => Promise<Target>, options: { skip: string | false }): Promise<void> {
  await t.test(title, options, async t => {
    const target = await start()
    t.teardown(() => target.close())
    for (const { name, run } of rows) await t.test(name, async t => run(t, target))
  })
}

await hold('simulated', simulatedTarget, { skip: false })
await hold('kube-apiserver 1.35', async () => realTarget('1.35'), needsTools())
await hold('kube-apiserver 1.36', async () => realTarget('1.36'), needsTools())
