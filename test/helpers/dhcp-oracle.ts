// What a DHCP server must not answer, and what an answer must look like: written from RFC 2131, 2132, 3046, 3396 and PXE
// 2.1 by offsets, with nothing of the server's own code. Told apart from the server's design in one point only: clients
// that are not Ethernet are refused (option 61 without a hardware address is not served).

export interface Asked {
  readonly bytes: Buffer
  readonly mode: 'authoritative' | 'proxy'
  readonly door: 'server' | 'proxy'
  readonly server: string
  readonly peer: string
  /** First three bytes of the addresses of our subnet (a /24). */
  readonly subnet: string
}

/** Why no server may answer this; null when one may. */
export function mustNotAnswer({ bytes, mode, door, server, subnet }: Asked): string | null {
  if (bytes.length < 240) return 'shorter than its header'
  if (bytes[0] !== 1) return 'a BOOTREPLY, or no BOOTP at all'
  if (bytes[1] !== 1 || bytes[2] !== 6) return 'not an Ethernet client'
  if (bytes.toString('hex', 236, 240) !== '63825363') return 'no magic cookie'
  const options = read(bytes)
  if (options === null) return 'an option runs past its area'
  const type = options.get(53)
  if (type?.length !== 1 || ![1, 3, 8].includes(type[0]!)) return 'no DISCOVER, REQUEST or INFORM'
  const kind = type[0]!
  const chosen = options.get(54)
  const relayed = bytes.readUInt32BE(24) !== 0
  if (door === 'server' && mode === 'authoritative' && kind === 3 && chosen !== undefined) {
    // RFC 5107: a relay may stand for us by its own address.
    if (addressOf(chosen) !== server && !(relayed && options.has(82))) return 'another server was chosen'
  }
  if (mode === 'proxy' || door === 'proxy') {
    if (!isBootClient(options)) return 'not a boot client'
    if (door === 'server' && kind !== 1) return 'the business of the server that leases'
    return null
  }
  if (kind === 8 && !relayed && !addressOf(bytes.subarray(12, 16)).startsWith(subnet)) return 'an INFORM from nowhere'
  return null
}

/** What is wrong with this answer; null when nothing is. */
export function wrongAnswer(asked: Asked, answer: Buffer, to: string, port: number): string | null {
  const { bytes, server, peer } = asked
  if (answer.length < 300 || answer.length > 1472) return `its size is ${answer.length}`
  if (answer[0] !== 2) return 'it is no BOOTREPLY'
  for (const [name, from, end] of echoed) {
    if (!answer.subarray(from, end).equals(bytes.subarray(from, end))) return `another ${name} than was asked with`
  }
  if (answer.toString('hex', 236, 240) !== '63825363') return 'no magic cookie'
  const options = read(answer)
  if (options === null) return 'an option runs past its area'
  const question = read(bytes)!
  const kind = question.get(53)![0]!
  const type = options.get(53)?.[0]
  const proxied = asked.mode === 'proxy' || asked.door === 'proxy'
  const fits = kind === 1 ? type === 2 : kind === 3 ? type === 5 || (type === 6 && !proxied) : type === 5
  if (!fits) return `message type ${type} to ${kind}`
  const ours = options.get(54)
  const relay = addressOf(bytes.subarray(24, 28))
  const relayed = relay !== '0.0.0.0'
  if (ours?.length !== 4 || (addressOf(ours) !== server && !relayed)) return 'it does not name its server'
  const given = addressOf(answer.subarray(16, 20))
  if (proxied && given !== '0.0.0.0') return `a proxy gives ${given}`
  if (!proxied && given !== '0.0.0.0' && !given.startsWith(asked.subnet)) return `${given} is no address of ours`
  if (type === 6 && (given !== '0.0.0.0' || options.has(51))) return 'a NAK that gives'
  if (type === 2 && !proxied && (given === '0.0.0.0' || options.get(51)?.length !== 4))
    return 'an OFFER without a lease'
  const agent = question.get(82)
  if (agent !== undefined && relayed && options.get(82)?.equals(agent) !== true) return 'option 82 is not given back'
  // A proxy knows no relays: it answers who asked, or anybody could be made a target.
  const answered = asked.mode === 'proxy' ? peer : relay
  const allowed = relayed && asked.door === 'server' ? [answered] : destinations(bytes, peer, asked.door)
  if (!allowed.includes(to)) return `it goes to ${to}:${port}, not to one of ${allowed.join(', ')}`
  return null
}

const echoed: ReadonlyArray<readonly [string, number, number]> = [
  ['transaction', 4, 8],
  ['relay', 24, 28],
  ['hardware address', 28, 34]
]

/** RFC 2131 §4.1: to the address that the client has, or to everybody. */
function destinations(bytes: Buffer, peer: string, door: 'server' | 'proxy'): string[] {
  return door === 'proxy' ? [peer] : ['127.255.255.255', '255.255.255.255', addressOf(bytes.subarray(12, 16))]
}

function isBootClient(options: ReadonlyMap<number, Buffer>): boolean {
  const vendor = options.get(60)?.toString('latin1') ?? ''
  const user = options.get(77)?.toString('latin1') ?? ''
  return /^(PXE|HTTP)Client/.test(vendor) || user.includes('iPXE') || options.has(175) || options.has(93)
}

/** Codes and joined values (RFC 3396), also from `file` and `sname` (option 52); null when one does not fit. */
function read(bytes: Buffer): Map<number, Buffer> | null {
  const values = new Map<number, Buffer>()
  const areas = [bytes.subarray(240)]
  for (let at = 0; at < areas.length; at++) {
    const area = areas[at]!
    for (let i = 0; i < area.length && area[i] !== 255;) {
      const code = area[i]!
      if (code === 0) {
        i += 1
        continue
      }
      const end = i + 2 + (area[i + 1] ?? 256)
      if (end > area.length) return null
      values.set(code, Buffer.concat([values.get(code) ?? Buffer.alloc(0), area.subarray(i + 2, end)]))
      i = end
    }
    const overload = at === 0 ? (values.get(52)?.[0] ?? 0) : 0
    if ((overload & 1) !== 0) areas.push(bytes.subarray(108, 236))
    if ((overload & 2) !== 0) areas.push(bytes.subarray(44, 108))
  }
  return values
}

function addressOf(bytes: Buffer): string {
  return bytes.join('.')
}
