// `slipway serve` as an operator runs it, with another DHCP server on its wire: what the operator is told, and by whom.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { stringify } from 'yaml'
import { needs } from '../helpers/require.ts'
import { startRogue } from '../helpers/rogue.ts'
import { createWires, seen, type Wires } from '../helpers/wires.ts'
import type { Background } from '../lab/namespace.ts'
import { type Served, slipwayIn, startServer } from './served.ts'

const wants = needs({ root: true, programs: ['ip', 'curl', 'dnsmasq'] })
// Processes that start and wait for each other, on a machine that may have other things to do.
t.setTimeout(180_000)

const subnet = { subnet: '10.77.0.0/24', pool: '10.77.0.100-10.77.0.199' }

async function serve(t: Test, wires: Wires, dhcp: object): Promise<{ served: Served; server: Background }> {
  const served = { namespace: wires.wire, folder: wires.folder, address: '10.77.0.1' }
  const config = { data: join(wires.folder, 'data'), interfaces: ['br0'], dhcp }
  writeFileSync(join(wires.folder, 'slipway.yaml'), stringify(config))
  const server = await startServer(served)
  t.teardown(() => server.stop())
  return { served, server }
}

t.test('a rogue is found and shown, with its address and what it offers', wants, async t => {
  const wires = await createWires(t, 'e2e-rogue')
  await startRogue(t, wires, 'r', '10.77.0.66', ['--dhcp-boot=evil.efi'])
  const { served, server } = await serve(t, wires, { mode: 'authoritative', subnets: [subnet] })
  await seen(server, 'dhcp.rival')
  const doctor = await slipwayIn(served, 'doctor', '--listen', '0')
  t.match(
    doctor.stdout,
    /BAD {3}other DHCP server: another DHCP server, 10\.77\.0\.66 \([0-9a-f:]{17}\), offers 10\.77\.0\.2\d\d .* evil\.efi/
  )
  t.equal(doctor.exitCode, 1)
  const list = await slipwayIn(served, 'get', 'dhcp-servers')
  t.match(list.stdout, /^10\.77\.0\.66 +br0 +rival +10\.77\.0\.2\d\d +10\.77\.0\.66 +evil\.efi/m)
  const events = await slipwayIn(served, 'get', 'events', '-o', 'json')
  t.match(
    JSON.parse(events.stdout).filter(({ type }: { type: string }) => type === 'dhcp.rival'),
    [{ level: 'warning', detail: { address: '10.77.0.66' } }]
  )
})

t.test('the server that gives the addresses beside a proxy is expected', wants, async t => {
  const wires = await createWires(t, 'e2e-rogue')
  await startRogue(t, wires, 'r', '10.77.0.66', [])
  const { served } = await serve(t, wires, { mode: 'proxy' })
  const end = performance.now() + 20_000
  let list = await slipwayIn(served, 'get', 'dhcp-servers')
  while (!list.stdout.includes('expected') && performance.now() < end) {
    list = await slipwayIn(served, 'get', 'dhcp-servers')
  }
  t.match(list.stdout, /^10\.77\.0\.66 +br0 +expected/m)
  const doctor = await slipwayIn(served, 'doctor', '--listen', '0')
  t.match(doctor.stdout, /^ok {4}other DHCP server: 10\.77\.0\.66 on br0: it gives the addresses here/m)
  t.notMatch(doctor.stdout, /nobody gives addresses/)
})
