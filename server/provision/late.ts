// Time-outs: a boot that outlived its stage fails its machine, with the reason and the remedy.

import { expireBoots } from '../store/boots.ts'
import { getMachine } from '../store/machines.ts'
import { type Recorder, transact } from '../timeline.ts'
import { failMachine } from './machines.ts'

/** Called from time to time by serve.ts; returns how many boots ended. */
export async function failLateBoots(recorder: Recorder): Promise<number> {
  return transact(recorder, async (db, add) => {
    const late = await expireBoots(db, recorder.now())
    for (const boot of late) {
      const machine = await getMachine(db, boot.machine)
      if (machine.state !== 'installing') continue
      const stage = boot.deliveredAt === null ? 'its installer never read its config' : 'its agent never enrolled'
      await failMachine(recorder, db, machine, `${stage}; look at its console, then slipway install ${machine.id}`, add)
    }
    return late.length
  })
}
