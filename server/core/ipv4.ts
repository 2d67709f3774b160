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

/** From 0 to 2^32 - 1; null when the text is not four decimal parts without leading zeros. */
export function parseAddress(text: string): number | null {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1) ?? []
  if (parts.length === 0 || parts.some(part => Number(part) > 255 || String(Number(part)) !== part)) return null
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0)
}

export function toAddress(value: number): string {
  return [24, 16, 8, 0].map(shift => (value >>> shift) & 0xff).join('.')
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
