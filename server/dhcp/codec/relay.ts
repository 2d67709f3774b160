// What a relay agent says of a packet in option 82 (RFC 3046), and what follows from it: on which link the client is,
// at which port of which switch, by what name it knows us. Only what came through a relay (giaddr) is believed: with
// giaddr 0 a client on our own wire may have written it itself. Such an option is still given back byte for byte, since
// a switch that snoops takes it out again, as are the parts that are unknown here (virtual subnets, RFC 6607 §7: a
// relay sees by its 152 that comes back that we know none).
//
//   +----+-----+---- ~ ----+     1 circuit id · 2 remote id · 5 link selection (RFC 3527) · 6 subscriber (RFC 3993)
//   | 82 | len |  parts …  |     11 server identifier (RFC 5107) · 19 source port (RFC 8357) · 151, 152 (RFC 6607)
//   +----+-----+---- ~ ----+     each part: code, length, value; no padding, no end mark

import { ip, MalformedPacket } from './codec.ts'
import { NO_ADDRESS, type Packet } from './packet.ts'

export interface RelayAgent {
  readonly circuit: Buffer | null
  readonly remote: Buffer | null
  /** The network that the client is on, where giaddr is not in it. */
  readonly link: string | null
  readonly subscriber: Buffer | null
  /** By what address clients know us: their unicast goes through the relay. */
  readonly serverId: string | null
  /** The relay does not listen on port 67, but on the one that it sent from. */
  readonly sourcePort: boolean
}

/** Where a packet comes from, as far as the relay that passed it on says. */
export interface Origin extends RelayAgent {
  /** Null for a packet that no relay passed on. */
  readonly relay: string | null
  readonly port: SwitchPort | null
}

export interface SwitchPort {
  readonly switch: string
  readonly port: string
}

const part = { circuit: 1, remote: 2, link: 5, subscriber: 6, serverId: 11, sourcePort: 19 } as const
const nothing = { circuit: null, remote: null, link: null, subscriber: null, serverId: null, sourcePort: false }
const local: Origin = { ...nothing, relay: null, port: null }

/** The origin of a request. A relay's option that cannot be read counts as absent: giaddr alone is as good as ever. */
export function originOf({ relay, options: { relayAgent } }: Packet): Origin {
  if (relay === NO_ADDRESS) return local
  const agent = relayAgent === undefined ? nothing : tryDecode(relayAgent)
  return { ...agent, relay, port: portOf(agent, relay) }
}

/** Throws MalformedPacket on a part that runs past the end, comes twice or has a wrong size. Unknown parts are left. */
export function decodeRelayAgent(bytes: Buffer): RelayAgent {
  const parts = new Map<number, Buffer>()
  for (let at = 0; at < bytes.length;) {
    const code = bytes.readUInt8(at)
    const start = at + 2
    const end = start + (bytes[at + 1] ?? Infinity)
    if (end > bytes.length) throw new MalformedPacket(`part ${code} of option 82 runs past its end`)
    if (parts.has(code)) throw new MalformedPacket(`part ${code} of option 82 comes twice`)
    parts.set(code, bytes.subarray(start, end))
    at = end
  }
  const address = (code: number): string | null => (parts.has(code) ? ip.decode(parts.get(code)!) : null)
  const text = (code: number): Buffer | null => (parts.get(code)?.length ? parts.get(code)! : null)
  if ((parts.get(part.sourcePort)?.length ?? 0) > 0) throw new MalformedPacket('part 19 of option 82 holds something')
  return {
    circuit: text(part.circuit),
    remote: text(part.remote),
    link: address(part.link),
    subscriber: text(part.subscriber),
    serverId: address(part.serverId),
    sourcePort: parts.has(part.sourcePort)
  }
}

/** Option 82 as a relay writes it: the other way round, for clients of the lab. */
export function encodeRelayAgent(agent: Partial<RelayAgent>): Buffer {
  const { circuit, remote, link, subscriber, serverId, sourcePort } = { ...nothing, ...agent }
  const parts: ReadonlyArray<readonly [number, Buffer | null]> = [
    [part.circuit, circuit],
    [part.remote, remote],
    [part.link, link === null ? null : ip.encode(link)],
    [part.subscriber, subscriber],
    [part.serverId, serverId === null ? null : ip.encode(serverId)],
    [part.sourcePort, sourcePort ? Buffer.alloc(0) : null]
  ]
  return Buffer.concat(parts.flatMap(([code, value]) => (value === null ? [] : [Buffer.of(code, value.length), value])))
}

function tryDecode(bytes: Buffer): RelayAgent {
  try {
    return decodeRelayAgent(bytes)
  } catch (error) {
    if (error instanceof MalformedPacket) return nothing
    throw error
  }
}

/** A relay that names itself by no remote id is the switch. Null without a circuit id. */
function portOf({ circuit, remote }: RelayAgent, relay: string): SwitchPort | null {
  return circuit === null ? null : { switch: remote === null ? relay : showId(remote), port: showId(circuit) }
}

/** Printable ASCII as it is, anything else as 00:04:00:0a. Text that looks like that is shown as bytes as well. */
export function showId(bytes: Buffer): string {
  const text = bytes.toString('latin1')
  return /^[\x20-\x7e]+$/.test(text) && !/^[0-9a-f]{2}(:[0-9a-f]{2})+$/.test(text)
    ? text
    : bytes.toString('hex').replaceAll(/..(?!$)/g, '$&:')
}
