// Who else is on a machine's network: dnsmasq or Kea, which own the addresses there while our server only says what to
// boot; or ISC's relay, between the machine's network and ours, adding option 82. Real programs in a namespace each.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Background, createNamespace, type Namespace } from '../../lab/namespace.ts'
import { until } from '../served.ts'
import type { Neighbour } from './rows.ts'

export const neighbourPrograms = ['dnsmasq', 'kea-dhcp4', 'dhcrelay']

/** The two networks: ours, and the one behind the relay. */
export const near = { subnet: '10.79.0.0/24', pool: '10.79.0.100-10.79.0.199', server: '10.79.0.1', peer: '10.79.0.2' }
export const far = { subnet: '10.80.0.0/24', pool: '10.80.0.100-10.80.0.199', gateway: '10.80.0.1' }

export interface Moved {
  /** Where machines are plugged in. */
  readonly machines: Namespace
  output(): string
  close(): Promise<void>
}

/** Joins the neighbour to the server's namespace. */
export async function moveIn(kind: Neighbour, area: string, server: Namespace, folder: string): Promise<Moved> {
  const own = await createNamespace(`${area}n`, kind === 'relay' ? far.gateway : near.peer)
  try {
    await connect(kind, server, own)
    const log = join(folder, `${kind}.log`)
    const program = await starters[kind](own, folder, log)
    const machines = kind === 'relay' ? own : server
    return { machines, output: () => program.output(), close: () => own.close() }
  } catch (error) {
    await own.close()
    throw error
  }
}

async function connect(kind: Neighbour, server: Namespace, own: Namespace): Promise<void> {
  await ip(server, `link add neighbour type veth peer name server netns ${own.name}`)
  await ip(server, 'link set neighbour master br0 up')
  // Bridges of the lab all have the same address.
  await ip(own, 'link set br0 address 52:54:00:51:00:02')
  if (kind !== 'relay') return ip(own, 'link set server master br0 up')
  await ip(own, `addr add ${near.peer}/24 dev server`)
  await ip(own, 'link set server up')
  await ip(server, `route add ${far.subnet} via ${near.peer}`)
  await run(own, 'sh', '-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward')
}

const starters: Record<Neighbour, (own: Namespace, folder: string, log: string) => Promise<Background>> = {
  dnsmasq: startDnsmasq,
  kea: startKea,
  relay: startRelay
}

function startDnsmasq(own: Namespace, folder: string, log: string): Promise<Background> {
  const settings = [
    ...'port=0 interface=br0 bind-interfaces no-resolv no-hosts user=root no-ping log-dhcp'.split(' '),
    `dhcp-range=${near.pool.replace('-', ',')},255.255.255.0,10m`,
    `dhcp-option=option:router,${near.server}`,
    `dhcp-leasefile=${join(folder, 'dnsmasq.leases')}`
  ]
  const file = join(folder, 'dnsmasq.conf')
  writeFileSync(file, `${settings.join('\n')}\n`)
  const started = own.start('dnsmasq', 'dnsmasq', ['-k', '-C', file, '--log-facility=-'], { log })
  return wrote(started, 'DHCP, IP range')
}

function startKea(own: Namespace, folder: string, log: string): Promise<Background> {
  const config = {
    Dhcp4: {
      'interfaces-config': { interfaces: ['br0'] },
      'lease-database': { type: 'memfile', persist: false },
      subnet4: [
        {
          subnet: near.subnet,
          pools: [{ pool: near.pool.replace('-', ' - ') }],
          'option-data': [{ name: 'routers', data: near.server }]
        }
      ],
      loggers: [{ name: 'kea-dhcp4', output_options: [{ output: 'stdout' }], severity: 'INFO' }]
    }
  }
  const file = join(folder, 'kea.conf')
  writeFileSync(file, JSON.stringify(config))
  const env = { KEA_PIDFILE_DIR: folder, KEA_LOCKFILE_DIR: folder }
  return wrote(own.start('kea', 'kea-dhcp4', ['-c', file], { log, env }), 'DHCP4_STARTED')
}

/** -a appends option 82: the circuit is the interface that heard the machine. */
function startRelay(own: Namespace, _folder: string, log: string): Promise<Background> {
  const args = ['-4', '-d', '-a', '-id', 'br0', '-iu', 'server', near.server]
  return wrote(own.start('relay', 'dhcrelay', args, { log }), 'Sending on   Socket/fallback')
}

const STARTED_MS = 20_000

async function wrote(program: Background, text: string): Promise<Background> {
  let ended: string | number | null = null
  void program.ended.then(status => (ended = status)) // said below
  return until(
    `${program.name} to write "${text}"`,
    STARTED_MS,
    async () => {
      if (program.output().includes(text)) return program
      if (ended !== null) throw new Error(`${program.name} ended (${ended}): ${program.output()}`)
      return null
    },
    50
  )
}

async function ip(namespace: Namespace, command: string): Promise<void> {
  await run(namespace, 'ip', ...command.split(' '))
}

async function run(namespace: Namespace, file: string, ...args: string[]): Promise<void> {
  const { exitCode, stdout, stderr } = await namespace.run(file, args)
  if (exitCode !== 0) throw new Error(`${file} ${args.join(' ')}: ${stdout}${stderr}`)
}
