// IPv4 networks as ranges of numbers, for checking what people wrote.

import { parseAddress } from './ipv4.ts'

export interface Subnet {
  readonly first: number
  readonly last: number
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
