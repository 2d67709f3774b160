// IPv4 addresses as numbers, for pools and subnets. Text comes from checked configuration or a decoded packet: a text
// that is no address here is a bug.

export interface Network {
  readonly network: number
  readonly netmask: number
}

export function toNumber(address: string): number {
  const parts = address.split('.').map(Number)
  const valid = parts.length === 4 && parts.every(part => Number.isInteger(part) && part >= 0 && part <= 255)
  if (!valid) throw new Error(`not an IPv4 address: ${address}`)
  return parts.reduce((sum, part) => sum * 256 + part, 0)
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
