// An installer reports that it runs: a machine is otherwise silent between its script and its enrolment. Told once a
// boot, by the boot's own address; what it says are claims, which change nothing but the timeline.

import type { BootedReport } from '../contract/booted.ts'
import { mayReport } from '../core/boots.ts'
import { Fault } from '../core/fault.ts'
import { findBootByNonceHash, moveBoot } from '../store/boots.ts'
import { hasEvent } from '../store/events.ts'
import { transact } from '../timeline.ts'
import { raiseAlarm, unknownBoot } from './deliver.ts'
import type { Deps } from './deps.ts'
import { digest } from './ids.ts'

/** Throws Fault not_found (no such nonce), gone (this boot is over), unavailable (ask again). */
export async function reportBooted(deps: Deps, nonce: string, report: BootedReport, address: string): Promise<void> {
  const boot = await findBootByNonceHash(deps.db, digest(nonce))
  if (boot === null) throw unknownBoot()
  const reading = mayReport(boot, address, deps.now())
  if (reading.kind === 'alarm') {
    await raiseAlarm(deps, boot, address, reading.reason)
    throw new Fault('gone', 'this boot is over; its operator has been told')
  }
  if (reading.kind === 'gone') throw new Fault('gone', reading.reason)
  await transact(deps, async (db, add) => {
    // Locks the boot: of two reports at once the second sees the first one's event.
    const same = await moveBoot(db, boot.id, [boot.state], boot.state, deps.now())
    if (same === null) throw new Fault('unavailable', 'this boot changed meanwhile; ask again')
    const named = { machine: boot.machine, boot: boot.id }
    if (await hasEvent(db, { ...named, type: 'boot.booted' })) return
    const { platform, secureBoot, arch, kernel } = report
    const words = [platform, arch, secureBoot === true ? 'Secure Boot' : undefined, kernel]
    const said = words.filter(word => word !== undefined).join(', ')
    const message = `the installer runs at ${address}${said === '' ? '' : ` and says: ${said}`}`
    await add({ type: 'boot.booted', ...named, message, detail: { address, ...report } })
  })
}
