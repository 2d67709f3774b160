// The boot plane's half that is UDP: DHCP and TFTP, joined to the leases, the metrics and the timeline.

import { type Passed, requireKnown, socketName } from './activation.ts'
import type { Config } from './config/schema.ts'
import type { Loader } from './contract/document.ts'
import type { NewEvent } from './contract/event.ts'
import type { DhcpServerView, Notice } from './contract/network.ts'
import type { Lease } from './core/allocation.ts'
import { createBatches } from './core/batches.ts'
import { keysOf } from './core/identifiers.ts'
import type { Reservation } from './core/reservations.ts'
import { shareLooks } from './core/looks.ts'
import { openKept, openMemory } from './data/assets/memory/files.ts'
import type { Interface } from './dhcp/context.ts'
import { createHolders, type Holders } from './dhcp/timeline/holders.ts'
import type { Attachment } from './dhcp/deps.ts'
import { startDhcp } from './dhcp/server.ts'
import { limitEvents } from './dhcp/timeline/story.ts'
import type { Files } from './http/files.ts'
import { keepKnown } from './known.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import type { Deps } from './provision/deps.ts'
import { noteSwitchPort } from './provision/locate.ts'
import { isMadeForAsker, tftpReader } from './provision/tftp.ts'
import { listDocuments } from './store/documents.ts'
import { findLeaseHolder, listLeases, saveLeases, shiftLeases } from './store/leases.ts'
import type { Db } from './store/schema.ts'
import { startTftp, type Transfer } from './tftp/server.ts'
import { openCarrier } from './tftp/thread/client.ts'
import { type Recorder, transactNow } from './timeline.ts'

export interface WireDeps {
  /** Milliseconds that nobody sets; null when the time of day is not the real one either. */
  readonly elapsed: (() => number) | null
  readonly recorder: Recorder
  /** For GRUB, which asks by TFTP what iPXE asks by HTTP. */
  readonly provisioning: Deps & { readonly artifacts: Files }
  /** The recorder's store for what need not survive a power cut. */
  readonly relaxed: Db
  readonly log: Log
  readonly metrics: Metrics
}

/** Each batch is one wait for the disk: long enough to share it, short enough that nobody else waits for it long. */
const LEASES_AT_ONCE = 128
const EVENTS_AT_ONCE = 64
/** Too short to be noticed on a page, and what follows is written after; a rack's events are written by the dozen. */
const EVENTS_PATIENCE_MS = 50

/** A network that machines boot from. */
export interface Network {
  readonly interface: Interface
  readonly places: Attachment['places']
}

/** DHCP and TFTP as they run. */
export interface Wire {
  /** Reads the operator's documents again: the addresses that they keep for machines. */
  readonly refresh: () => Promise<void>
  /** Other DHCP servers that were heard, and what a person should know of these networks. */
  readonly others: () => DhcpServerView[]
  readonly notices: () => Notice[]
}

/** For as long as there is none, or no DHCP. */
export const noWire: Wire = { refresh: async () => undefined, others: () => [], notices: () => [] }

/** A probe is one packet and its answers: as often as a person would wait to see a rogue server found. */
const PROBE_EVERY_MS = 5 * 60_000

/** Starts TFTP, then DHCP: nobody is sent to what does not answer yet. Throws a Fault when a port cannot be had. */
export async function startWire(
  config: Config,
  networks: readonly Network[],
  passed: Passed,
  deps: WireDeps,
  opened: AsyncDisposableStack
): Promise<Wire> {
  const { recorder, relaxed, log, metrics, elapsed } = deps
  const { mode, ports, subnets, probe, advertise, leases: kept } = config.dhcp
  requireKnown(passed, mode === 'off' ? ['tftp', 'boot'] : ['dhcp', 'proxy', 'tftp', 'boot'], config.interfaces)
  const { db, now } = recorder
  const holders = createHolders()
  const stories = createBatches<NewEvent>(
    EVENTS_AT_ONCE,
    events => recordAll(recorder, holders, events),
    EVENTS_PATIENCE_MS
  )
  recorder.bus.precede(stories.flush)
  const recording = new Set<Promise<void>>()
  const seen = (event: NewEvent): void => {
    if (event.type === 'dhcp.request') holders.learn(event)
    const work: Promise<void> = stories
      .add(event)
      .catch((error: unknown) => log.error('timeline.failed', { error, type: event.type }))
      .finally(() => recording.delete(work))
    recording.add(work)
  }
  opened.defer(async () => void (await Promise.all(recording))) // when the wire is silent: the last packets' stories
  await startTftps(config, networks, passed, { ...deps, seen }, opened)
  if (mode === 'off') return noWire
  const store = kept.durability === 'written' ? relaxed : db
  const saves = createBatches<Lease>(LEASES_AT_ONCE, batch => saveLeases(store, batch))
  const leases = { list: () => listLeases(db), save: saves.add, shift: (ms: number) => shiftLeases(db, ms) }
  const attachments = networks.map(network => {
    const { name } = network.interface
    const server = passed.get(socketName('dhcp', name)) ?? null
    return { ...network, handles: { server, proxy: passed.get(socketName('proxy', name)) ?? null } }
  })
  let facts = await readFacts(db)
  const loaderOf = (mac: string, shown: () => readonly string[]): Loader => {
    const key = facts.loaders.size === 0 ? undefined : [mac, ...shown()].find(each => facts.loaders.has(each))
    return key === undefined ? config.boot.loader : facts.loaders.get(key)!
  }
  const dhcp = await startDhcp(
    {
      mode,
      attachments,
      ports,
      subnets,
      reservations: facts.reservations,
      probeEveryMs: probe ? PROBE_EVERY_MS : null,
      advertise
    },
    {
      now,
      ...(elapsed === null ? {} : { elapsed }),
      log,
      count: metrics.counts.dhcp,
      leases,
      seen,
      loaderOf,
      sighted: sighting => noteSwitchPort(recorder, sighting)
    }
  )
  opened.defer(() => dhcp.close())
  const known = await keepKnown(recorder, dhcp.know, log, opened)
  // One after the other, so that what was read last is what holds.
  let refreshed = Promise.resolve()
  const refresh = (): Promise<void> => {
    known.again()
    refreshed = refreshed
      .then(async () => {
        facts = await readFacts(db)
        dhcp.reserve(facts.reservations)
      })
      .catch((error: unknown) => log.error('dhcp.reservations-failed', { error }))
    return refreshed
  }
  return { refresh, others: dhcp.others, notices: dhcp.notices }
}

/** What the operator's Machine documents say to DHCP. */
async function readFacts(db: Db): Promise<{ reservations: Reservation[]; loaders: ReadonlyMap<string, Loader> }> {
  const all = (await listDocuments(db, 'Machine')).flatMap(({ metadata, spec: { loader, address = null, ...spec } }) =>
    keysOf(spec).map(key => ({ key, address, machine: metadata.name, loader }))
  )
  return {
    reservations: all.map(({ key, address, machine }) => ({ key, address, machine })),
    loaders: new Map(all.flatMap(({ key, loader }) => (loader === undefined ? [] : [[key, loader] as const])))
  }
}

async function startTftps(
  config: Config,
  networks: readonly Network[],
  passed: Passed,
  { recorder, provisioning, log, metrics, seen }: WireDeps & { readonly seen: (event: NewEvent) => void },
  opened: AsyncDisposableStack
): Promise<void> {
  const { now } = recorder
  const told = limitEvents({ now, seen, count: metrics.counts.dhcp })
  const asset = shareLooks(openKept(provisioning.artifacts.locate, openMemory()), { now, keepMs: 0 })
  const program = (name: string): Promise<Buffer | null> => asset(`boot/${name}`)
  const done = (transfer: Transfer): void => {
    metrics.counts.tftp(transfer.outcome)
    const event = eventOf(transfer)
    if (event !== null) told(event)
  }
  const carrier = openCarrier(error => log.error('tftp.thread-ended', { error }))
  opened.defer(() => carrier.close())
  for (const { interface: own } of networks) {
    const failed = (error: unknown): void => log.error('tftp.failed', { interface: own.name, error })
    const handle = passed.get(socketName('tftp', own.name)) ?? null
    const read = tftpReader(provisioning, { program, asset, log }, own.address)
    const tftp = await startTftp(own.address, config.tftp.port, { now, read, failed, done, carrier }, handle)
    opened.defer(() => tftp.close())
  }
}

/** One commit for all. A transfer is known by its address alone: a lease says whose it is, ours or another server’s. */
async function recordAll(recorder: Recorder, holders: Holders, events: readonly NewEvent[]): Promise<readonly null[]> {
  await transactNow(recorder, async (db, add) => {
    for (const event of events) {
      const address = event.mac === undefined ? event.detail?.['address'] : undefined
      const mac =
        typeof address === 'string' ? ((await findLeaseHolder(db, address)) ?? holders.of(address)) : event.mac
      await add({ ...event, ...(mac !== undefined && { mac }) })
    }
  })
  return events.map(() => null)
}

/**
 * Firmware asks for sizes first, and probes for files that need not be; noise is counted: all that is no news. A GRUB
 * that waits asks every few seconds.
 */
function eventOf({ peer, name, outcome, bytes, durationMs }: Transfer): NewEvent | null {
  if (isMadeForAsker(name)) return null
  if (outcome === 'size asked' || outcome === 'not found' || outcome === 'ignored') return null
  const detail = { address: peer, name, outcome, bytes, durationMs }
  if (outcome === 'complete') return { type: 'tftp.sent', message: `${name} sent to ${peer} by TFTP`, detail }
  return { type: 'tftp.failed', level: 'warning', message: `TFTP of ${name} to ${peer}: ${outcome}`, detail }
}
