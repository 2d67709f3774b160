// The forgotten DHCP server: a real dnsmasq at the other end of a cable into a test's bridge (10.77.0.0/24).

import { join } from 'node:path'
import type { Test } from 'tap'
import { type Background, createNamespace } from '../lab/namespace.ts'
import { plug, seen, type Wires } from './wires.ts'

const leasing = '--dhcp-range=10.77.0.200,10.77.0.250,255.255.255.0,600'

/** dnsmasq in a namespace of its own, at the other end of a cable into our bridge; it gives addresses unless told not to. */
export async function startRogue(
  t: Test,
  wires: Wires,
  name: string,
  address: string,
  more: readonly string[],
  range = leasing
): Promise<Background> {
  const far = await createNamespace(`rogue-${name}`, '192.0.2.1')
  t.teardown(() => far.close())
  await plug(wires, name, 'br0')
  await wires.run('ip', 'link', 'set', `${name}0`, 'netns', far.name)
  for (const args of [`addr add ${address}/24 dev ${name}0`, `link set ${name}0 up`]) {
    t.match(await far.run('ip', args.split(' ')), { exitCode: 0 }, args)
  }
  const log = join(wires.folder, `${name}.log`)
  const fixed = ['-d', '--conf-file=/dev/null', '--port=0', '--log-dhcp', '--bind-interfaces', '--leasefile-ro']
  const options = [`--interface=${name}0`, range, `--dhcp-option=6,${address}`, ...more]
  const rogue = far.start(name, 'dnsmasq', [...fixed, ...options], { log })
  await seen(rogue, range === leasing ? 'DHCP, IP range' : 'DHCP, proxy')
  return rogue
}
