// IPv4 addresses and networks as numbers, for comparing. Strict: no leading zeros, no short forms.

export interface Subnet {
  readonly first: number
  readonly last: number
}

/** The address as a number from 0 to 2^32 - 1; null when it is not four decimal parts. */
export function parseAddress(text: string): number | null {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1) ?? []
  if (parts.length === 0 || parts.some(part => Number(part) > 255 || String(Number(part)) !== part)) return null
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0)
}

/** A network in CIDR form whose host bits are zero, from its own address to its broadcast address; null otherwise. */
export function parseSubnet(text: string): Subnet | null {
  const [address = '', bits = '', ...more] = text.split('/')
  const first = parseAddress(address)
  const length = /^\d{1,2}$/.test(bits) ? Number(bits) : 33
  if (first === null || length > 32 || more.length > 0) return null
  const size = 2 ** (32 - length)
  return first % size === 0 ? { first, last: first + size - 1 } : null
}

export function contains({ first, last }: Subnet, address: number): boolean {
  return address >= first && address <= last
}
