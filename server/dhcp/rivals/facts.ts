// What the system knows of the servers that were heard: the hardware address, by which a switch port is found.

import { readFileSync } from 'node:fs'

/** From the system's table of neighbours (proc(5), /proc/net/arp); null when it has none, or is not Linux. */
export function findNeighbour(address: string, device: string): string | null {
  let table: string
  try {
    table = readFileSync('/proc/net/arp', 'utf8')
  } catch {
    return null // a question, not a failure: another system
  }
  for (const line of table.split('\n')) {
    const [ip, , flags, mac, , on] = line.trim().split(/\s+/)
    if (ip === address && on === device && flags !== '0x0' && mac !== undefined) return mac
  }
  return null
}
