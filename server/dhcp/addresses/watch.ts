// Whether the addresses that we answer by are still ours: an uplink may be renumbered by its own DHCP, or by a person.
// With another address every URL and every server identifier that we give out is wrong, and so are the sockets of TFTP
// and HTTP: nothing is answered until it is back, or the server is started anew, and that is said.

import { networkInterfaces } from 'node:os'
import type { Notice } from '../../contract/network.ts'
import type { Log } from '../../log.ts'
import { askInterface } from '../bound/socket.ts'
import type { Interface } from '../context.ts'

export interface AddressWatch {
  /** Looks again when the last look is a second old: for each packet. */
  readonly isOurs: (own: Interface) => boolean
  readonly notices: () => Notice[]
}

export interface AddressDeps {
  readonly now: () => Date
  /** Milliseconds that nobody sets. */
  readonly elapsed: () => number
  readonly log: Log
  readonly look: (name: string) => readonly string[] | null
}

/** A look takes a tenth of a millisecond, a wrong answer a machine's whole boot. */
const LOOK_MS = 1000

export function watchAddresses({ now, elapsed, log, look }: AddressDeps): AddressWatch {
  const looked = new Map<string, { at: number; lost: { since: Date; message: string } | null }>()
  function isOurs({ name, address }: Interface): boolean {
    const last = looked.get(name)
    const at = elapsed()
    if (last !== undefined && at - last.at < LOOK_MS) return last.lost === null
    const found = look(name)
    const lost = found === null || found.includes(address) ? null : (last?.lost ?? lose(name, address, found))
    if (lost === null && last !== undefined && last.lost !== null)
      log.info('dhcp.address-back', { interface: name, address })
    looked.set(name, { at, lost })
    return lost === null
  }
  function lose(name: string, address: string, found: readonly string[]): { since: Date; message: string } {
    const other = found.length === 0 ? 'has no address now' : `has ${found.join(', ')} now`
    const remedy = `give ${address} back to it, or restart slipway`
    const message = `interface ${name} ${other} and nothing is answered there: ${remedy}`
    log.error('dhcp.address-lost', { interface: name, address, message })
    return { since: now(), message }
  }
  return {
    isOurs,
    notices: () =>
      [...looked.values()].flatMap(({ lost }): Notice[] =>
        lost === null
          ? []
          : [{ about: 'address', level: 'warning', message: lost.message, since: lost.since.toISOString() }]
      )
  }
}

/** Its IPv4 addresses; null when the system does not tell. Of an interface without a carrier the first one is known. */
export function readAddresses(name: string): readonly string[] | null {
  const listed = networkInterfaces()[name]
  if (listed !== undefined) return listed.flatMap(({ family, address }) => (family === 'IPv4' ? [address] : []))
  const known = askInterface(name)
  return known === null ? null : known.address === null ? [] : [known.address]
}
