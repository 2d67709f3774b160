// The boot plane's half that is UDP: DHCP and TFTP, joined to the leases, the metrics and the timeline.

import type { Config } from './config.ts'
import type { NewEvent } from './contract/event.ts'
import type { Lease } from './core/allocation.ts'
import { createBatches } from './core/batches.ts'
import { openBootPrograms } from './data/files.ts'
import type { Interface } from './dhcp/context.ts'
import { startDhcp } from './dhcp/server.ts'
import { limitEvents } from './dhcp/story.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import { findLeaseHolder, listLeases, saveLeases } from './store/leases.ts'
import { startTftp, type Transfer } from './tftp/server.ts'
import { type Recorder, transact } from './timeline.ts'

export interface WireDeps {
  readonly recorder: Recorder
  readonly log: Log
  readonly metrics: Metrics
}

/** Each batch is one wait for the disk: long enough to share it, short enough that nobody else waits for it long. */
const LEASES_AT_ONCE = 128
const EVENTS_AT_ONCE = 64

/** Starts TFTP, then DHCP: nobody is sent to what does not answer yet. Throws a Fault when a port cannot be had. */
export async function startWire(
  config: Config,
  own: Interface,
  bootUrl: string,
  { recorder, log, metrics }: WireDeps,
  opened: AsyncDisposableStack
): Promise<void> {
  const { db, now } = recorder
  const record = createBatches<NewEvent>(EVENTS_AT_ONCE, events => recordAll(recorder, events))
  const seen = (event: NewEvent): void => {
    record(event).catch((error: unknown) => log.error('timeline.failed', { error, type: event.type }))
  }
  const seenOnTftp = limitEvents({ now, seen, count: metrics.counts.dhcp })
  const tftp = await startTftp(own.address, config.tftp.port, {
    now,
    read: openBootPrograms(config.data),
    failed: error => log.error('tftp.failed', { error }),
    done: transfer => {
      metrics.counts.tftp(transfer.outcome)
      const event = eventOf(transfer)
      if (event !== null) seenOnTftp(event)
    }
  })
  opened.defer(() => tftp.close())
  const { mode, ports, subnets } = config.dhcp
  if (mode === 'off') return
  const save = createBatches<Lease>(LEASES_AT_ONCE, batch => saveLeases(db, batch))
  const leases = { list: () => listLeases(db), save }
  const options = { mode, interface: own, ports, subnets, bootUrl }
  const dhcp = await startDhcp(options, { now, log, count: metrics.counts.dhcp, leases, seen })
  opened.defer(() => dhcp.close())
}

/** One commit for all. A transfer is known by its address alone: the lease says whose it is. */
async function recordAll(recorder: Recorder, events: readonly NewEvent[]): Promise<readonly null[]> {
  await transact(recorder, async (db, add) => {
    for (const event of events) {
      const address = event.mac === undefined ? event.detail?.['address'] : undefined
      const mac = typeof address === 'string' ? await findLeaseHolder(db, address) : event.mac
      await add({ ...event, ...(mac !== undefined && { mac }) })
    }
  })
  return events.map(() => null)
}

/** Firmware asks for sizes first, and probes for files that need not be; noise is counted: all that is no news. */
function eventOf({ peer, name, outcome, bytes, durationMs }: Transfer): NewEvent | null {
  if (outcome === 'size asked' || outcome === 'not found' || outcome === 'ignored') return null
  const detail = { address: peer, name, outcome, bytes, durationMs }
  if (outcome === 'complete') return { type: 'tftp.sent', message: `${name} sent to ${peer} by TFTP`, detail }
  return { type: 'tftp.failed', level: 'warning', message: `TFTP of ${name} to ${peer}: ${outcome}`, detail }
}
