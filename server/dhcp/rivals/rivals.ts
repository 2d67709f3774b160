// Other DHCP servers: what was heard of them, and which of them is one too many. Pure; how they are heard is probe/ and
// listener/. All of it is hearsay from a wire on which anybody speaks, so it is bounded: so many servers, texts of a
// packet's size, one event a server until it was away.
//
//   authoritative   every other server is a rival
//   proxy           one that gives addresses is expected; two are rivals of each other, and so is any that names a boot
//                   file as well; none means that no machine gets an address

import type { NewEvent } from '../../contract/event.ts'
import type { DhcpServerView, Notice } from '../../contract/network.ts'
import { messageType, NO_ADDRESS, type Packet } from '../codec/packet.ts'

type Mode = 'authoritative' | 'proxy'
export type Place = Pick<DhcpServerView, 'interface' | 'relay'>
/** One hearing of a server; null, false and [] where it said nothing. */
export type Sighting = Omit<DhcpServerView, 'verdict' | 'why' | 'present' | 'firstSeen' | 'lastSeen'>

interface Known {
  readonly sighting: Sighting
  readonly firstSeen: number
  lastSeen: number
  /** Whether its event was told. */
  told: boolean
}

export interface Rivals {
  readonly mode: Mode
  readonly servers: Map<string, Known>
}

/** Three probes without an answer. */
export const AWAY_MS = 15 * 60_000
/** What was here yesterday explains what a machine did yesterday. */
const FORGET_MS = 24 * 3_600_000
/** A rack that powers on names it a thousand times. */
const REPEAT_MS = 1000
/** No network has more; somebody who invents them is not listened to any longer. */
const SERVERS_MAX = 64

export function createRivals(mode: Mode): Rivals {
  return { mode, servers: new Map() }
}

/** What an OFFER or ACK says of the server that sent it. `from`: the sender, when it does not name itself. */
export function sightingOfReply(packet: Packet, place: Place, from: string, mac: string | null): Sighting {
  const { options } = packet
  const bootFile = nonEmpty(options.bootFileName) ?? nonEmpty(packet.bootFile)
  const vendor = options.vendorClass ?? ''
  return {
    ...place,
    address: options.serverId ?? from,
    heard: 'offer',
    boots: bootFile !== null || vendor.startsWith('PXEClient') || vendor.startsWith('HTTPClient'),
    mac,
    name: nonEmpty(packet.serverName) ?? nonEmpty(options.tftpServerName),
    offered: packet.yourAddress === NO_ADDRESS ? null : packet.yourAddress,
    client: packet.mac,
    subnetMask: options.subnetMask ?? null,
    routers: [...(options.routers ?? [])].slice(0, 8),
    dns: [...(options.dnsServers ?? [])].slice(0, 8),
    nextServer: packet.nextServer === NO_ADDRESS ? null : packet.nextServer,
    bootFile,
    leaseSeconds: options.leaseSeconds ?? null
  }
}

/** What a REQUEST says of the server that its machine has chosen; null when it names none, or one of ours. */
export function sightingOfRequest(packet: Packet, place: Place, own: ReadonlySet<string>): Sighting | null {
  const { messageType: type, serverId: address, requestedAddress } = packet.options
  if (packet.op !== 'request' || type !== messageType.request || address === undefined) return null
  if (own.has(address) || address === NO_ADDRESS || address === '255.255.255.255') return null
  const said = { mac: null, name: null, subnetMask: null, routers: [], dns: [], nextServer: null, bootFile: null }
  const offered = requestedAddress ?? null
  return { ...place, ...said, address, heard: 'request', boots: false, offered, client: packet.mac, leaseSeconds: null }
}

/** Takes up what was heard; returns the events to tell. */
export function hear(rivals: Rivals, sighting: Sighting, now: Date): NewEvent[] {
  const { servers } = rivals
  const key = keyOf(sighting)
  const known = servers.get(key)
  const repeated = known?.sighting.heard === sighting.heard && now.getTime() - known.lastSeen < REPEAT_MS
  if (repeated && now.getTime() >= known.lastSeen) return []
  if (known === undefined && !makeRoom(servers, sighting, now)) return []
  const firstSeen = known?.firstSeen ?? now.getTime()
  servers.set(key, {
    sighting: known === undefined ? sighting : merge(known.sighting, sighting),
    firstSeen,
    lastSeen: now.getTime(),
    told: known?.told ?? false
  })
  return review(rivals, now)
}

/** What time alone changes: servers that are away, and those of yesterday. To be called now and then. */
export function review(rivals: Rivals, now: Date): NewEvent[] {
  const events: NewEvent[] = []
  for (const [key, known] of rivals.servers) {
    const age = now.getTime() - known.lastSeen
    if (age >= FORGET_MS) rivals.servers.delete(key)
    if (age >= AWAY_MS && known.told) {
      known.told = false
      const { address, interface: device } = known.sighting
      const message = `the other DHCP server ${address} on ${device} has not been heard for ${AWAY_MS / 60_000} minutes`
      events.push({ type: 'dhcp.rival-gone', message, detail: { address, interface: device } })
    }
  }
  for (const view of listServers(rivals, now)) {
    const known = rivals.servers.get(keyOf(view))!
    if (view.verdict === 'expected' || !view.present || known.told) continue
    known.told = true
    const { address, mac, name, offered, bootFile, nextServer, relay } = view
    const detail = { address, interface: view.interface, relay, server: mac, name, offered, bootFile, nextServer }
    events.push({ type: 'dhcp.rival', level: 'warning', message: describe(view), detail })
  }
  return events
}

/** By interface, then in the order in which they were first heard. */
export function listServers({ mode, servers }: Rivals, now: Date): DhcpServerView[] {
  const present = (known: Known): boolean => now.getTime() - known.lastSeen < AWAY_MS
  const givers = (place: Place): number =>
    [...servers.values()].filter(known => present(known) && isAt(known.sighting, place) && gives(known.sighting)).length
  return [...servers.values()]
    .map(known => {
      const { sighting, firstSeen, lastSeen } = known
      const why = whyRival(mode, sighting, givers(sighting))
      return {
        ...sighting,
        verdict: why === null ? ('expected' as const) : ('rival' as const),
        why: why ?? 'it gives the addresses here, beside this proxy',
        present: present(known),
        firstSeen: new Date(firstSeen).toISOString(),
        lastSeen: new Date(lastSeen).toISOString()
      }
    })
    .toSorted((a, b) => (a.interface < b.interface ? -1 : a.interface > b.interface ? 1 : 0))
}

/** Why this server is one too many; null when it is not. `givers`: how many give addresses there, this one included. */
export function whyRival(mode: Mode, sighting: Sighting, givers: number): string | null {
  if (mode === 'authoritative') {
    return gives(sighting)
      ? 'machines may take their address from it: switch it off, or set dhcp.mode: proxy'
      : 'machines may take its boot file instead of ours: switch it off'
  }
  if (sighting.boots) return 'machines may take its boot file instead of ours: switch that off, or dhcp.mode: off here'
  return givers > 1 ? `${givers} servers give addresses here: which of them a machine follows is chance` : null
}

/** The rivals that are here, as sentences. */
export function rivalNotices(rivals: Rivals, now: Date): Notice[] {
  return listServers(rivals, now)
    .filter(({ verdict, present }) => verdict === 'rival' && present)
    .map(view => ({ about: 'rival', level: 'warning', message: describe(view), since: view.firstSeen }))
}

/** Whether somebody gives addresses on that interface. */
export function hasGiver(rivals: Rivals, device: string, now: Date): boolean {
  return listServers(rivals, now).some(view => view.interface === device && view.present && gives(view))
}

/** Who it is, what it offered, what to do. */
export function describe(view: DhcpServerView): string {
  const { address, mac, name, offered, subnetMask, routers, dns, nextServer, bootFile, leaseSeconds, relay } = view
  const who = [mac, name].filter(text => text !== null).join(', ')
  const said = [
    offered === null ? 'no address' : `${offered}${subnetMask === null ? '' : ` (mask ${subnetMask})`}`,
    ...(routers.length === 0 ? [] : [`router ${routers.join(' ')}`]),
    ...(dns.length === 0 ? [] : [`DNS ${dns.join(' ')}`]),
    ...(bootFile === null ? [] : [`boot file ${bootFile}${nextServer === null ? '' : ` from ${nextServer}`}`]),
    ...(leaseSeconds === null ? [] : [`for ${leaseSeconds} s`])
  ]
  const where = `on ${view.interface}${relay === null ? '' : ` behind relay ${relay}`}`
  const deed = view.heard === 'offer' ? `offers ${said.join(', ')}` : `was asked for ${offered ?? 'an address'}`
  return `another DHCP server, ${address}${who === '' ? '' : ` (${who})`}, ${deed} ${where}: ${view.why}`
}

/** A machine names in a REQUEST whom it takes its address from. */
function gives({ offered, heard }: Sighting): boolean {
  return offered !== null || heard === 'request'
}

/** An answer says more than a request that names its server; a proxy's answer takes no address back. */
function merge(former: Sighting, latest: Sighting): Sighting {
  if (latest.heard === 'request') return former.heard === 'offer' ? former : latest
  return {
    ...latest,
    mac: latest.mac ?? former.mac,
    name: latest.name ?? former.name,
    boots: latest.boots || former.boots
  }
}

/** What was heard from a server itself takes the place of hearsay. */
function makeRoom(servers: Map<string, Known>, { heard }: Sighting, now: Date): boolean {
  if (servers.size < SERVERS_MAX) return true
  const idle = [...servers].find(([, known]) => now.getTime() - known.lastSeen >= AWAY_MS)
  const hearsay = heard === 'offer' ? [...servers].find(([, { sighting }]) => sighting.heard === 'request') : undefined
  const [out] = idle ?? hearsay ?? []
  return out !== undefined && servers.delete(out)
}

function keyOf({ interface: device, relay, address }: Place & { readonly address: string }): string {
  return `${device} ${relay ?? ''} ${address}`
}

function isAt(a: Place, b: Place): boolean {
  return a.interface === b.interface && a.relay === b.relay
}

function nonEmpty(text: string | undefined): string | null {
  return text === undefined || text === '' ? null : text
}
