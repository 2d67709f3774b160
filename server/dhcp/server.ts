// The DHCP server: one listener an interface, one set of subnets for all of them. Here is decided how the sockets are
// opened; what is done with a packet is listener/server.ts.

import type { DhcpServerView, Notice } from '../contract/network.ts'
import { holderBeside } from '../core/allocation.ts'
import { Fault } from '../core/fault.ts'
import type { Reservation } from '../core/reservations.ts'
import type { Log } from '../log.ts'
import { readAddresses, watchAddresses } from './addresses/watch.ts'
import { createAlarms } from './timeline/alarms.ts'
import { whyNotBound } from './bound/socket.ts'
import { watchClock } from './leases/clock.ts'
import { createChains } from './firmware/chains.ts'
import { findSubnet, type Interface, knowIn, openSubnets, reserveIn, type Subnet } from './context.ts'
import type { Attachment, DhcpDeps, DhcpOptions } from './deps.ts'
import { type DhcpListener, startListener } from './listener/server.ts'
import { createKeeper } from './leases/keeper.ts'
import { createLookout } from './rivals/lookout/server.ts'
import { createSightings } from './timeline/sightings.ts'
import { findFree, type Way } from './socket.ts'
import { limitEvents } from './timeline/story.ts'

export interface DhcpServer {
  /** Of the first interface; all have the same unless any would do. */
  readonly ports: { readonly server: number; readonly proxy: number }
  /** Replaces the reservations; from the next packet on they hold. */
  readonly reserve: (reservations: readonly Reservation[]) => void
  /** Replaces the machines that are known, each by its MACs: in a flood of strangers they find their addresses. */
  readonly know: (machines: readonly (readonly string[])[]) => void
  /** Other DHCP servers that were heard. */
  readonly others: () => DhcpServerView[]
  /** What a person should know of these networks now. */
  readonly notices: () => Notice[]
  readonly close: () => Promise<void>
}

/** How long the store's times may be wrong after the clock was set, or a lost address go unsaid. */
const WATCH_MS = 5000

/** Throws a Fault when a port is taken or forbidden, no subnet fits an interface, or several cannot be told apart. */
export async function startDhcp(options: DhcpOptions, deps: DhcpDeps): Promise<DhcpServer> {
  const { mode, attachments, ports, advertise } = options
  const keeper = createKeeper(deps.leases, deps.log)
  const own = attachments.map(one => one.interface)
  const authoritative = mode === 'authoritative'
  const addresses = own.map(({ address }) => address)
  const { reservations } = options
  const leases = authoritative ? await keeper.open(deps.now()) : []
  const subnets = authoritative ? openSubnets(options.subnets, addresses, leases, reservations) : []
  const leaseNow = watchClock(deps.now, deps.elapsed ?? null, ms => keeper.jump(subnets, ms))
  const wired = { ...deps, now: leaseNow, leases: { save: keeper.save } }
  if (authoritative) for (const one of own) requireSubnet(subnets, one, deps.log)
  const waysOf = chooseWays(attachments, deps.log)
  const told = limitEvents(deps)
  const chains = createChains()
  const { now, log, sighted = async () => undefined } = deps
  const tellers = { told, alarm: createAlarms({ now, log, told }), sighted: createSightings(sighted) }
  const opened = new AsyncDisposableStack()
  const owned = watchAddresses({ now, log, elapsed: () => performance.now(), look: readAddresses })
  // A clock that is set, an address that goes away, while no packet comes.
  const watch = setInterval(() => {
    leaseNow()
    for (const each of own) owned.isOurs(each)
  }, WATCH_MS)
  opened.defer(async () => {
    clearInterval(watch)
    leaseNow()
    await keeper.idle()
  })
  const lookout = createLookout({ mode, interfaces: own, probeEveryMs: options.probeEveryMs ?? null }, deps)
  const listeners: DhcpListener[] = []
  try {
    const plans = []
    for (const attachment of attachments) {
      const { interface: each, places } = attachment
      const ways = waysOf(attachment)
      const found = { ...ports, server: await findFree(each, ports.server, ways.server) }
      plans.push({
        mode,
        ports: found,
        interface: each,
        places,
        subnets,
        ways,
        chains,
        advertise,
        isOurs: () => owned.isOurs(each)
      })
    }
    for (const plan of plans) {
      const listener = await startListener(plan, { ...wired, lookout }, tellers)
      opened.defer(() => listener.close())
      listeners.push(listener)
    }
    opened.defer(() => lookout.close())
    await lookout.start({ server: listeners[0]!.ports.server, client: ports.client })
  } catch (error) {
    await opened.disposeAsync()
    throw error
  }
  const reserveAll = (changed: readonly Reservation[]): void => {
    if (authoritative) takeReservations(subnets, changed, deps)
  }
  reserveAll(reservations)
  return {
    ports: listeners[0]!.ports,
    reserve: reserveAll,
    know: machines => knowIn(subnets, machines),
    others: lookout.servers,
    notices: () => [...owned.notices(), ...lookout.notices()],
    close: () => opened.disposeAsync()
  }
}

/** What cannot be kept, or not yet, is said: nobody waits for a machine that never comes. */
function takeReservations(subnets: readonly Subnet[], all: readonly Reservation[], { log, now }: DhcpDeps): void {
  const why = 'no subnet has it, or it is the server or the gateway'
  const machines = Map.groupBy(all, ({ machine }) => machine)
  const unused = new Set(reserveIn(subnets, all).map(({ machine }) => machine))
  for (const [machine, [{ address } = { address: null }]] of machines) {
    if (unused.has(machine)) log.warn('dhcp.reservation-unused', { machine, address, why })
  }
  for (const [machine, keys] of machines) {
    const address = keys[0]!.address
    const own = new Set(keys.map(({ key }) => key))
    for (const { index } of address === null ? [] : subnets) {
      const holder = holderBeside(index, '', address!, now())
      if (holder?.mac == null || own.has(holder.mac) || own.has(holder.identifier ?? '')) continue
      log.warn('dhcp.reservation-held', { machine, address, holder: holder.mac })
    }
  }
}

/** An interface without one may still serve relays; machines on its own wire are then not answered. */
function requireSubnet(subnets: readonly Subnet[], own: Interface, log: Log): void {
  const here = { relay: null, link: null }
  if (findSubnet(subnets, own, here) !== null) return
  if (subnets.length > 0) {
    const effect = 'relays alone are answered there: no subnet under dhcp.subnets holds its address'
    return log.warn('dhcp.relays-only', { interface: own.name, address: own.address, effect })
  }
  const remedy = `add one under dhcp.subnets that holds ${own.address}, or set dhcp.mode: proxy`
  throw new Fault('invalid', `no DHCP subnet fits interface ${own.name} (${own.address}/${own.netmask}): ${remedy}`)
}

/** One interface can do without bound sockets; of several each would hear all, and nobody could tell them apart. */
function chooseWays(
  attachments: readonly Attachment[],
  log: Log
): (attachment: Attachment) => { server: Way; proxy: Way } {
  const wanting = attachments.find(({ handles }) => handles.server === null || handles.proxy === null)
  const why = wanting === undefined ? null : whyNotBound(wanting.interface.name)
  if (why !== null && attachments.length > 1) {
    const remedy = 'run it with Node 26, let systemd pass the sockets, or name one interface'
    throw new Fault('unavailable', `several interfaces need sockets that are bound to them, but ${why}: ${remedy}`)
  }
  if (why !== null) {
    const effect = 'broadcasts of other networks of this host are heard as well'
    log.warn('dhcp.not-bound', { interface: wanting!.interface.name, why, effect })
  }
  const way = why === null ? 'bound' : 'plain'
  return ({ handles }) => ({ server: handles.server ?? way, proxy: handles.proxy ?? way })
}
