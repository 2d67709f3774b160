// DHCP clients that others wrote, each in a network namespace of its own: they take an address, renew it by unicast and
// give it back. Then a real relay with option 82 between a client and the whole server.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { needs } from '../helpers/require.ts'
import { createWires, plug, seen, udhcpc, type Wires } from '../helpers/wires.ts'
import { type Background, createNamespace, type Namespace } from '../lab/namespace.ts'

t.setTimeout(120_000)
t.jobs = 4 // they wait for renewals most of the time

const root = join(import.meta.dirname, '..', '..')
const program = join(root, 'test', 'helpers', 'dhcp-program.ts')
const main = join(root, 'server', 'main.ts')

/** Half of it is when clients renew. */
const LEASE_SECONDS = '6'

/** The server on a bridge, its leases short. */
async function serve(t: Test, area: string): Promise<{ wires: Wires; server: Background }> {
  const wires = await createWires(t, area)
  const { wire, folder } = wires
  const server = wire.start('server', process.execPath, [program, 'br0'], {
    log: join(folder, 'server.log'),
    env: { LEASE_SECONDS }
  })
  await seen(server, 'ready')
  return { wires, server }
}

/** A machine of its own at the end of a cable to the bridge: `<name>0`, with this hardware address. */
async function machine(t: Test, wires: Wires, name: string, mac: string): Promise<Namespace> {
  const space = await createNamespace(`dc${name}`, '192.0.2.1')
  t.teardown(() => space.close())
  await plug(wires, name, 'br0')
  await wires.run('ip', 'link', 'set', `${name}0`, 'address', mac)
  await wires.run('ip', 'link', 'set', `${name}0`, 'netns', space.name)
  await inside(space, 'ip', 'link', 'set', `${name}0`, 'up')
  return space
}

async function inside(space: Namespace, file: string, ...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await space.run(file, args)
  if (exitCode !== 0) throw new Error(`${file} ${args.join(' ')}: ${stdout}${stderr}`)
  return stdout + stderr
}

/** What the server said of this machine: of each lease, how many seconds it was granted for. */
function granted(server: Background, mac: string): Array<{ address: string; seconds: number }> {
  return server
    .output()
    .split('\n')
    .filter(line => line.startsWith('{"lease"') && line.includes(mac))
    .map(line => JSON.parse(line).lease)
    .map(({ address, grantedAt, expiresAt }) => ({
      address,
      seconds: (Date.parse(expiresAt) - Date.parse(grantedAt)) / 1000
    }))
}

async function until(what: string, server: Background, done: () => boolean): Promise<void> {
  const end = performance.now() + 20_000
  while (!done()) {
    if (performance.now() > end) throw new Error(`${what}: ${server.output()}`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

t.test('dhclient', needs({ root: true, programs: ['ip', 'dhclient'] }), async t => {
  const mac = '52:54:00:dc:00:01'
  const { wires, server } = await serve(t, 'dca')
  const { folder } = wires
  const space = await machine(t, wires, 'k', mac)
  // Without its hook the address is on no interface, and the answer to a renewal finds nobody.
  const hook = join(folder, 'hook')
  const set = '[ -n "$new_ip_address" ] && ip addr replace "$new_ip_address/24" dev "$interface"; exit 0'
  writeFileSync(hook, `#!/bin/sh\n${set}\n`, { mode: 0o755 })
  const conf = join(folder, 'dhclient.conf')
  writeFileSync(conf, 'send dhcp-client-identifier "rack-7";\nrequest subnet-mask, routers;\n')
  const flags = ['-v', '-cf', conf, '-lf', join(folder, 'leases'), '-pf', join(folder, 'pid'), '-sf', hook]
  const client = space.start('dhclient', 'dhclient', [...flags, '-d', 'k0'], { log: join(folder, 'dhclient.log') })
  await until('renewed twice', server, () => granted(server, mac).length >= 3)
  t.match(
    client.output(),
    /bound to 10\.77\.0\.100 -- renewal in \d seconds[\s\S]*DHCPREQUEST .* to 10\.77\.0\.1 port 67\n.*DHCPACK/
  )
  t.notMatch(client.output(), /DHCPNAK|DHCPDISCOVER[\s\S]*DHCPDISCOVER/, 'it never lost it')
  t.same(granted(server, mac).slice(0, 3), threeTimes({ address: '10.77.0.100', seconds: Number(LEASE_SECONDS) }))
  await inside(space, 'dhclient', ...flags, '-r', 'k0')
  await until('released', server, () => granted(server, mac).at(-1)?.seconds === 0)
  await client.stop()
})

/** Networkd needs no systemd: a /run of its own, and a /sys that is read-only, or it waits for udev. */
const networkd = `mount --make-rprivate / && mount -t tmpfs tmpfs /run && mount -o remount,ro /sys
mkdir -p /run/systemd/network /run/systemd/netif/leases /run/systemd/netif/links
[ ! -d /etc/systemd/network ] || mount -t tmpfs tmpfs /etc/systemd/network
printf '[Match]\\nName=n0\\n[Network]\\nDHCP=ipv4\\nLinkLocalAddressing=no\\n' > /run/systemd/network/10-n0.network
chown -R systemd-network /run/systemd/netif
SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console exec /lib/systemd/systemd-networkd`

const files = ['/lib/systemd/systemd-networkd']
t.test('systemd-networkd', needs({ root: true, programs: ['ip', 'unshare'], files }), async t => {
  const mac = '52:54:00:dc:00:02'
  const { wires, server } = await serve(t, 'dcb')
  const space = await machine(t, wires, 'n', mac)
  const log = join(wires.folder, 'networkd.log')
  const client = space.start('networkd', 'unshare', ['-m', 'sh', '-c', networkd], { log })
  await until('renewed', server, () => granted(server, mac).length >= 3)
  await seen(client, 'DHCPv4 client: ACK')
  t.match(await inside(space, 'ip', '-br', 'addr', 'show', 'n0'), /10\.77\.0\.100\/24/)
  t.notMatch(client.output(), /lease lost|EXPIRED|NAK/, 'it never lost it')
  t.same(granted(server, mac).slice(0, 3), threeTimes({ address: '10.77.0.100', seconds: Number(LEASE_SECONDS) }))
  await client.stop()
  await until('released', server, () => granted(server, mac).at(-1)?.seconds === 0)
})

t.test('perfdhcp, which speaks as a relay', needs({ root: true, programs: ['ip', 'perfdhcp'] }), async t => {
  const { wires, server } = await serve(t, 'dcc')
  const space = await machine(t, wires, 'p', '52:54:00:dc:00:03')
  await inside(space, 'ip', 'addr', 'add', '10.77.0.9/24', 'dev', 'p0')
  const flags = ['-4', '-l', 'p0', '-L', '67', '-r', '20', '-f', '5', '-R', '5', '-p', '3', '-W', '1']
  const said = await inside(space, 'perfdhcp', ...flags, '10.77.0.1')
  t.match(said, /DISCOVER-OFFER[\s\S]*sent packets: ([1-9]\d*)\nreceived packets: \1\ndrops: 0/)
  t.match(said, /REQUEST-ACK[\s\S]*sent packets: ([1-9]\d*)\nreceived packets: \1\ndrops: 0/)
  const addresses = new Set(server.output().match(/"address":"10\.77\.0\.1\d\d"/g))
  t.ok(addresses.size > 1 && addresses.size <= 5, 'each of its clients has one')
})

t.test('a real relay', needs({ root: true, programs: ['ip', 'busybox', 'dhcrelay'] }), async t => {
  const wires = await createWires(t, 'dcr')
  const { wire, folder, run } = wires
  const subnets = ['10.77.0', '10.99.0'].map(net => ({
    subnet: `${net}.0/24`,
    pool: `${net}.100-${net}.109`,
    gateway: `${net}.9`,
    lease: '1m'
  }))
  const config = { data: join(folder, 'data'), interfaces: ['br0'], dhcp: { mode: 'authoritative', subnets } }
  writeFileSync(join(folder, 'slipway.yaml'), JSON.stringify(config))
  const server = wire.start('serve', process.execPath, [main, 'serve', '--config', join(folder, 'slipway.yaml')], {
    log: join(folder, 'serve.log')
  })
  await seen(server, 'server.started')
  await run('ip', 'route', 'add', '10.99.0.0/24', 'via', '10.77.0.9')
  const relay = await machine(t, wires, 'u', '52:54:00:dc:00:04')
  const far = await createNamespace('dcf', '192.0.2.1')
  t.teardown(() => far.close())
  const mac = '52:54:00:dc:00:05'
  const link = [
    'ip',
    'link',
    'add',
    'd0',
    'type',
    'veth',
    'peer',
    'name',
    'e0',
    'address',
    mac,
    'netns',
    far.name
  ] as const
  await inside(relay, ...link)
  for (const args of ['addr add 10.77.0.9/24 dev u0', 'addr add 10.99.0.9/24 dev d0', 'link set d0 up']) {
    await inside(relay, 'ip', ...args.split(' '))
  }
  await inside(relay, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward')
  await inside(far, 'ip', 'link', 'set', 'e0', 'up')
  const relaying = ['-4', '-d', '-a', '-pf', join(folder, 'relay.pid'), '-id', 'd0', '-iu', 'u0', '10.77.0.1']
  const dhcrelay = relay.start('dhcrelay', 'dhcrelay', relaying, { log: join(folder, 'relay.log') })
  await seen(dhcrelay, 'Sending on')

  const script = join(folder, 'far.sh')
  const bound = 'case "$1" in bound|renew) ip addr replace $ip/24 dev e0; ip route replace default via $router;; esac'
  writeFileSync(script, `#!/bin/sh\n${bound}\necho "$1 $ip $router $serverid"\n`, { mode: 0o755 })
  const [name = '', ...flags] = udhcpc('e0', script, '5').filter(flag => !['-n', '-q'].includes(flag))
  const client = far.start('udhcpc', 'busybox', [name, ...flags], { log: join(folder, 'udhcpc.log') })
  await seen(client, 'bound 10.99.0.100 10.99.0.9 10.77.0.1')
  const [pid = ''] = (await run('ip', 'netns', 'pids', far.name)).split('\n')
  process.kill(Number(pid), 'SIGUSR1') // renew now, by unicast through the router
  await seen(client, 'renew 10.99.0.100')

  const claim = `http://10.77.0.1:8080/boot/ipxe?mac=${mac}&manufacturer=QEMU&buildarch=x86_64&platform=efi`
  const fetched = `fetch(${JSON.stringify(claim)}).then(r => r.text()).then(text => process.stdout.write(text))`
  t.match(await inside(far, process.execPath, '-e', fetched), '#!ipxe')
  const env = {
    SLIPWAY_TOKEN_FILE: join(folder, 'data', 'admin.token'),
    SLIPWAY_CA_FILE: join(folder, 'data', 'ca', 'ca.crt'),
    SLIPWAY_SERVER: 'https://10.77.0.1:8443'
  }
  const slipway = async (...args: string[]): Promise<string> =>
    (await wire.run(process.execPath, [main, ...args], { env })).stdout
  const [known] = JSON.parse(await slipway('get', 'machines', '-o', 'json'))
  t.match(known, { switchPort: { switch: '10.99.0.9', port: 'd0', relay: '10.99.0.9', mac } })
  t.match(await slipway('get', 'machines', '-o', 'wide'), '10.99.0.9/d0')
  t.match(await slipway('describe', 'machine', mac), /discovered at switch port 10\.99\.0\.9\/d0: QEMU/)

  // An address that is kept for the port: for whatever is plugged in there.
  const document = {
    apiVersion: 'slipway.dev/v1',
    kind: 'Machine',
    metadata: { name: 'port-d0' },
    spec: { switchPort: '10.99.0.9/d0', address: '10.99.0.7', position: 'rack 3, {port}' }
  }
  writeFileSync(join(folder, 'port.yaml'), JSON.stringify(document))
  t.match(await slipway('apply', '-f', join(folder, 'port.yaml')), /port-d0/)
  t.match(await slipway('get', 'machines', '-o', 'wide'), 'rack 3, d0')
  await client.stop()
  const again = far.start('udhcpc', 'busybox', [name, ...flags], { log: join(folder, 'again.log') })
  await seen(again, 'bound 10.99.0.7 10.99.0.9 10.77.0.1')
  const [next = ''] = (await run('ip', 'netns', 'pids', far.name)).split('\n')
  process.kill(Number(next), 'SIGUSR1') // passes no relay, shows no port
  await seen(again, 'renew 10.99.0.7')
  await again.stop()
  await server.stop()
  t.notMatch(server.output(), /"level":50/, 'no error')
})

function threeTimes<T>(one: T): T[] {
  return [one, one, one]
}
