// What DHCP tests share: requests of real firmware by name, and a context to decide in.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Lease } from '../../server/core/allocation.ts'
import { noChain } from '../../server/dhcp/firmware/chains.ts'
import { type Context, openSubnets, type SubnetConfig } from '../../server/dhcp/context.ts'

/** Spaced hex as bytes. */
export function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ''), 'hex')
}

/** The captured requests by name, padded as they were sent. */
export function readRequests(): Map<string, Buffer> {
  const text = readFileSync(join(import.meta.dirname, '..', 'fixtures', 'dhcp', 'requests.txt'), 'utf8')
  const entries = text.split('\n\n').slice(1)
  return new Map(
    entries.map(entry => {
      const [name, ...lines] = entry.split('\n')
      const bytes = hex(lines.join(''))
      return [name!, Buffer.concat([bytes], Math.max(bytes.length, 300))]
    })
  )
}

export const now = new Date('2026-01-02T03:04:05Z')

export const subnet: SubnetConfig = {
  subnet: '10.77.0.0/24',
  pool: { first: '10.77.0.100', last: '10.77.0.109' },
  gateway: '10.77.0.254',
  dns: ['10.77.0.53'],
  domain: 'rack.example',
  leaseSeconds: 3600
}

/** Another network, on another interface. */
export const second: SubnetConfig = {
  subnet: '10.78.0.0/24',
  pool: { first: '10.78.0.100', last: '10.78.0.109' },
  gateway: null,
  dns: [],
  domain: null,
  leaseSeconds: 3600
}

/** A network behind a relay. */
export const distant: SubnetConfig = {
  ...second,
  subnet: '10.99.0.0/24',
  pool: { first: '10.99.0.100', last: '10.99.0.109' }
}

export function contextOf(changes: Partial<Context> = {}, leases: readonly Lease[] = []): Context {
  return {
    mode: 'authoritative',
    door: 'server',
    server: '10.77.0.1',
    peer: { address: '0.0.0.0', port: 68 },
    subnet: openSubnets([subnet], ['10.77.0.1'], leases)[0]!,
    ports: { server: 67, client: 68 },
    boot: { bootUrl: 'http://10.77.0.1:8080', secureUrl: null, loader: 'ipxe', chain: noChain },
    now,
    ...changes
  }
}
