// IPv4 addresses as numbers, for pools and subnets. But for parseAddress(), text comes from checked configuration or a
// decoded packet: a text that is no address there is a bug.

export interface Network {
  readonly network: number
  readonly netmask: number
}

export function toNumber(address: string): number {
  const value = parseAddress(address)
  if (value === null) throw new Error(`not an IPv4 address: ${address}`)
  return value
}

/** From 0 to 2^32 - 1; null when it is not four decimal parts without leading zeros. Asked many times a packet. */
export function parseAddress(text: string): number | null {
  let sum = 0
  let parts = 1
  let part = 0
  let digits = 0
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at)
    if (char === DOT) {
      if (digits === 0 || (parts += 1) > 4) return null
      sum = sum * 256 + part
      part = 0
      digits = 0
    } else {
      if (char < ZERO || char > NINE || (digits > 0 && part === 0)) return null
      part = part * 10 + char - ZERO
      if (part > 255) return null
      digits += 1
    }
  }
  return parts === 4 && digits > 0 ? sum * 256 + part : null
}

const DOT = 0x2e
const ZERO = 0x30
const NINE = 0x39

export function toAddress(value: number): string {
  return `${(value >>> 24) & 0xff}.${(value >>> 16) & 0xff}.${(value >>> 8) & 0xff}.${value & 0xff}`
}

/** Reads 10.0.0.0/24; bits below the prefix are dropped. */
export function toNetwork(cidr: string): Network {
  const [address, prefix] = cidr.split('/')
  const bits = Number(prefix)
  if (address === undefined || !(bits >= 0 && bits <= 32)) throw new Error(`not a subnet: ${cidr}`)
  const netmask = bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0
  return { network: (toNumber(address) & netmask) >>> 0, netmask }
}

export function networkOf(address: string, netmask: string): Network {
  const mask = toNumber(netmask)
  return { network: (toNumber(address) & mask) >>> 0, netmask: mask }
}

export function contains({ network, netmask }: Network, address: string): boolean {
  return (toNumber(address) & netmask) >>> 0 === network
}

export function broadcastOf({ network, netmask }: Network): string {
  return toAddress((network | ~netmask) >>> 0)
}
