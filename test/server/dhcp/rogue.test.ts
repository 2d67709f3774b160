// A real dnsmasq as the forgotten DHCP server on a wire of the test's own, beside our server in both modes.

import { join } from 'node:path'
import t from 'tap'
import type { DhcpServerView, Notice } from '../../../server/contract/network.ts'
import type { Background } from '../../lab/namespace.ts'
import { needs } from '../../helpers/require.ts'
import { startRogue } from '../../helpers/rogue.ts'
import { createWires, plug, seen, type Wires } from '../../helpers/wires.ts'

const program = join(import.meta.dirname, '..', '..', 'helpers', 'dhcp-program.ts')
const wants = needs({ root: true, programs: ['ip', 'busybox', 'dnsmasq'] })
const PROBE_MS = '1000'

// Processes that start and wait for each other, on a machine that may have other things to do.
t.setTimeout(180_000)

interface Noticed {
  readonly others: DhcpServerView[]
  readonly notices: Notice[]
}

t.test('a rogue beside the server that gives addresses', wants, async t => {
  const wires = await createWires(t, 'rogue')
  const server = await start(wires, 'authoritative')
  await plug(wires, 'm', 'br0')
  await wires.lease('m0')
  t.match(await noticed(server), { others: [], notices: [] }, 'our own answers are no rival’s')

  const rogue = await startRogue(t, wires, 'r', '10.77.0.66', ['--dhcp-boot=evil.efi,evil,10.77.0.67'])
  await seen(server, '"type":"dhcp.rival"')
  const { others, notices } = await until(server, ({ others: [first] }) => first?.mac !== null)
  t.match(others, [
    {
      address: '10.77.0.66',
      interface: 'br0',
      verdict: 'rival',
      present: true,
      heard: 'offer',
      boots: true,
      mac: /^[0-9a-f:]{17}$/,
      offered: /^10\.77\.0\.2\d\d$/,
      subnetMask: '255.255.255.0',
      routers: ['10.77.0.66'],
      dns: ['10.77.0.66'],
      nextServer: '10.77.0.67',
      bootFile: 'evil.efi',
      leaseSeconds: 600
    }
  ])
  t.match(notices, [{ about: 'rival', level: 'warning', message: /10\.77\.0\.66 .* boot file evil\.efi/ }])
  t.equal(server.output().split('"type":"dhcp.rival"').length, 2, 'told once')
  t.notMatch(server.output(), /"count":"discover offer".*"mac":"02:73:6c/, 'a probe leases nothing here')
  await rogue.stop()
  await server.stop()
})

t.test('beside a proxy', wants, async t => {
  const wires = await createWires(t, 'rogue')
  const server = await start(wires, 'proxy')
  const nobody = await until(server, ({ notices }) => notices.length > 0)
  t.match(nobody.notices, [{ about: 'no-addresses', level: 'note', message: /nobody gives addresses on br0/ }])

  const router = await startRogue(t, wires, 'r', '10.77.0.66', [])
  const one = await until(server, ({ others }) => others.length > 0)
  t.match(one, { others: [{ address: '10.77.0.66', verdict: 'expected', boots: false }], notices: [] })

  const second = await startRogue(t, wires, 's', '10.77.0.67', [])
  await seen(server, '"type":"dhcp.rival"')
  const two = await until(server, ({ notices }) => notices.length === 2)
  t.match(two.notices[0]?.message, /2 servers give addresses here/)
  await second.stop()
  await router.stop()
  await server.stop()
})

for (const mode of ['authoritative', 'proxy']) {
  t.test(`${mode}: another proxy, which names a boot file to boot clients only`, wants, async t => {
    const wires = await createWires(t, 'rogue')
    const server = await start(wires, mode)
    const pxe = ['--pxe-service=x86-64_EFI,evil,evil.efi']
    const rogue = await startRogue(t, wires, 'r', '10.77.0.66', pxe, '--dhcp-range=10.77.0.0,proxy')
    await seen(server, '"type":"dhcp.rival"')
    const { others } = await until(server, found => found.others.length > 0)
    t.match(others, [{ address: '10.77.0.66', verdict: 'rival', boots: true, offered: null }])
    t.match(others[0]?.why, /boot file instead of ours/)
    await rogue.stop()
    await server.stop()
  })
}

t.test('what another program holds is not taken from it', wants, async t => {
  const wires = await createWires(t, 'rogue')
  const script = `require('node:dgram').createSocket('udp4').bind(68, () => console.log('bound'))`
  const holder = wires.wire.start('holder', process.execPath, ['-e', script], { log: join(wires.folder, 'holder.log') })
  await seen(holder, 'bound')
  const server = await start(wires, 'authoritative')
  const { notices } = await until(server, found => found.notices.length > 0)
  t.match(notices, [{ about: 'blind', level: 'note', message: /port 68 is taken by a program that does not share it/ }])
  await holder.stop()
  await until(server, found => found.notices.length === 0)
  await server.stop()
})

async function start(wires: Wires, mode: string): Promise<Background> {
  const log = join(wires.folder, `${mode}.log`)
  const server = wires.wire.start(mode, process.execPath, [program, 'br0', mode, PROBE_MS], { log })
  await seen(server, 'ready')
  return server
}

/** Asks the server what it has noticed, again and again until that is so. */
async function until(server: Background, fits: (found: Noticed) => boolean): Promise<Noticed> {
  const end = performance.now() + 20_000
  for (;;) {
    const found = await noticed(server)
    if (fits(found)) return found
    if (performance.now() > end) throw new Error(`it has noticed ${JSON.stringify(found)}: ${server.output()}`)
    await new Promise(resolve => setTimeout(resolve, 100))
  }
}

async function noticed(server: Background): Promise<Noticed> {
  const before = lines(server).length
  process.kill(server.pid, 'SIGUSR1')
  const end = performance.now() + 10_000
  while (lines(server).length === before) {
    if (performance.now() > end) throw new Error(`it does not answer: ${server.output()}`)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  return JSON.parse(lines(server).at(-1)!) as Noticed
}

function lines(server: Background): string[] {
  return server
    .output()
    .split('\n')
    .filter(line => line.startsWith('{"others"'))
}
