// The servers that are measured: Slipway as it is started for a real network, and the peers as Debian packages them, each
// with the settings that make the comparison fair (no ping before an offer, no limit below what is asked of it).

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { stringify } from 'yaml'
import { INTERFACE, PEERS, POOL, type Program, SERVER, SUBNET, type Wire } from './network.ts'

export const CONTROL_PORT = 8443
const READY_MS_MAX = 20_000

export interface Peer {
  readonly program: string
  readonly debianPackage: string
  /** Null when the program prints none of its own. */
  readonly version: RegExp | null
  readonly versionArgs: readonly string[]
}

export const peers = {
  atftpd: { program: 'atftpd', debianPackage: 'atftpd', version: /([\d.]+)/, versionArgs: ['--version'] },
  'tftpd-hpa': { program: 'in.tftpd', debianPackage: 'tftpd-hpa', version: /([\d.]+)/, versionArgs: ['-V'] },
  dnsmasq: { program: 'dnsmasq', debianPackage: 'dnsmasq-base', version: /version ([\d.]+)/, versionArgs: ['-v'] },
  kea: { program: 'kea-dhcp4', debianPackage: 'kea-dhcp4-server', version: /([\d.]+)/, versionArgs: ['-v'] },
  nginx: { program: 'nginx', debianPackage: 'nginx-light', version: /nginx\/([\d.]+)/, versionArgs: ['-v'] }
} as const satisfies Record<string, Peer>
export type PeerName = keyof typeof peers

/** The path of a peer's program; null when it is not installed. */
export function findPeer(name: PeerName): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']
  return folders.map(folder => join(folder, peers[name].program)).find(path => existsSync(path)) ?? null
}

export function versionOf(name: PeerName): string {
  const { versionArgs, version } = peers[name]
  const text = execFileSync('sh', ['-c', '"$@" 2>&1 || :', 'sh', findPeer(name) ?? '', ...versionArgs]).toString()
  return `${name} ${version.exec(text)?.[1] ?? '?'}`
}

export function remedyFor(missing: readonly PeerName[]): string {
  const names = missing.map(name => peers[name].debianPackage)
  const both = 'atftpd and tftpd-hpa exclude each other: apt-get download one, dpkg -x it, put its usr/sbin on PATH'
  const more = missing.some(name => name === 'atftpd' || name === 'tftpd-hpa') ? ` (${both})` : ''
  return `missing: ${missing.join(', ')}; apt-get install --no-install-recommends ${names.join(' ')}${more}`
}

/** What a lease survives before its ACK leaves: a power cut, or the end of the server. */
export type Durability = 'committed' | 'written'

/** Starts Slipway in a data folder of that name, which may be there from a run before; `prepare` may put files into it. */
export async function startSlipway(
  wire: Wire,
  name: string,
  prepare: (data: string) => void,
  durability: Durability = 'committed'
): Promise<Program> {
  const data = join(wire.folder, name)
  mkdirSync(data, { mode: 0o700, recursive: true })
  prepare(data)
  const config = `${data}.yaml`
  writeFileSync(config, configText(data, durability), { mode: 0o600 })
  const main = join(import.meta.dirname, '..', '..', 'lab', 'server.ts')
  const profile = process.env['SLIPWAY_BENCH_PROFILE']
  const profiler = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`]
  const node = [process.execPath, ...ownFlags(), '--disable-warning=ExperimentalWarning', ...profiler]
  const program = wire.start(name, [...node, main, config, '0'])
  await until(() => existsSync(join(data, 'run.json')), `Slipway (see ${data}.log)`)
  return program
}

/** With which `slipway` runs itself. */
function ownFlags(): readonly string[] {
  const main = readFileSync(join(import.meta.dirname, '..', '..', '..', 'server', 'main.ts'), 'utf8')
  return /^#!.* node (.*)$/m.exec(main)?.[1]?.split(' ') ?? []
}

function configText(data: string, durability: Durability): string {
  return stringify({
    data,
    interfaces: [INTERFACE],
    dhcp: {
      mode: 'authoritative',
      leases: { durability },
      subnets: [{ subnet: SUBNET, pool: `${POOL.first}-${POOL.last}`, gateway: null, dns: [], lease: '1h' }]
    },
    tftp: { port: 69 },
    boot: { port: 80 },
    control: { port: CONTROL_PORT },
    log: { level: 'warn' }
  })
}

/** On an address of its own, so that it can be asked in turn with the others. */
export async function startTftpPeer(wire: Wire, name: keyof typeof PEERS, files: string): Promise<Program> {
  const address = PEERS[name]
  wire.addAddress(address)
  const tftp = ['--enable-tftp', `--tftp-root=${files}`, '--tftp-max=1000']
  const commands = {
    atftpd: ['--daemon', '--no-fork', '--bind-address', address, '--maxthread', '1000', '--user', 'root.root', files],
    'tftpd-hpa': ['-L', '-a', `${address}:69`, '-u', 'root', '-s', files],
    dnsmasq: [...dnsmasqBase, `--listen-address=${address}`, '--bind-interfaces', ...tftp]
  }
  return await startPeer(wire, name, commands[name], address, 69)
}

export async function startDhcpPeer(wire: Wire, name: 'kea' | 'dnsmasq', leases: string): Promise<Program> {
  const file = join(wire.folder, leases)
  if (name === 'dnsmasq') {
    const range = `--dhcp-range=${POOL.first},${POOL.last},255.254.0.0,1h`
    const args = [range, '--dhcp-lease-max=100000', '--no-ping', '--dhcp-authoritative', `--dhcp-leasefile=${file}`]
    return await startPeer(wire, name, [...dnsmasqBase, `--interface=${INTERFACE}`, ...args], '0.0.0.0', 67)
  }
  writeFileSync(`${file}.json`, keaText(file))
  return await startPeer(wire, name, ['-c', `${file}.json`], SERVER, 67)
}

const dnsmasqBase = ['-k', '-C', '/dev/null', '--port=0', '--user=root', '--quiet-dhcp']

function keaText(file: string): string {
  return JSON.stringify({
    Dhcp4: {
      'interfaces-config': { interfaces: [INTERFACE], 'dhcp-socket-type': 'udp' },
      'lease-database': { type: 'memfile', persist: true, name: file, 'lfc-interval': 0 },
      'valid-lifetime': 3600,
      subnet4: [{ id: 1, subnet: SUBNET, pools: [{ pool: `${POOL.first} - ${POOL.last}` }] }],
      loggers: [{ name: 'kea-dhcp4', severity: 'ERROR', output_options: [{ output: 'stderr' }] }]
    }
  })
}

export async function startNginx(wire: Wire, files: string): Promise<Program> {
  const config = join(wire.folder, 'nginx.conf')
  writeFileSync(
    config,
    `daemon off; user root; worker_processes auto; pid ${wire.folder}/nginx.pid; error_log stderr;
events { worker_connections 1024; }
http { sendfile on; tcp_nopush on; access_log off; client_body_temp_path ${wire.folder}/nginx-body;
server { listen ${SERVER}:80; location /assets/ { alias ${files}/; } } }
`
  )
  return await startPeer(wire, 'nginx', ['-c', config, '-p', wire.folder], SERVER, 80)
}

async function startPeer(
  wire: Wire,
  name: PeerName,
  args: readonly string[],
  address: string,
  port: number
): Promise<Program> {
  const env = ['env', `KEA_LOCKFILE_DIR=${wire.folder}`, `KEA_PIDFILE_DIR=${wire.folder}`]
  const program = wire.start(name, [...env, findPeer(name) ?? name, ...args])
  await until(() => isOpen(program.pid, address, port), `${name} (see ${name}.log)`)
  return program
}

/** Whether anything in that process's namespace listens there: as /proc/net writes it, the address from its end. */
function isOpen(pid: number, address: string, port: number): boolean {
  const bytes = [...address.split('.').map(Number).toReversed(), port >> 8, port & 0xff]
  const hex = Buffer.from(bytes).toString('hex').toUpperCase().replace(/.{4}$/, ':$& ')
  const [udp, tcp] = ['udp', 'tcp'].map(kind => `/proc/${pid}/net/${kind}`)
  // Before `ip netns exec` has changed over, /proc shows the machine's own sockets.
  if (udp === undefined || tcp === undefined || !existsSync(udp) || !isInside(pid)) return false
  return [udp, tcp].some(path => readFileSync(path, 'utf8').includes(hex))
}

function isInside(pid: number): boolean {
  return readFileSync(`/proc/${pid}/net/dev`, 'utf8').includes(`${INTERFACE}:`)
}

async function until(ready: () => boolean, what: string): Promise<void> {
  const late = performance.now() + READY_MS_MAX
  while (!ready()) {
    if (performance.now() > late) throw new Error(`${what} did not start in ${READY_MS_MAX / 1000} s`)
    await wait(20)
  }
}
