// What slipway.yaml's schema cannot say: values that must fit each other. Each message says what to do.

import type { Config, RawConfig, SubnetConfig } from './schema.ts'
import type { Problem } from '../core/fault.ts'
import { parseAddress } from '../core/ipv4.ts'
import { contains, parseSubnet } from '../core/subnet.ts'

/** A machine that is installed keeps its address for longer than a minute, and a rack changes within a month. */
const LEASE_SECONDS = { min: 60, max: 30 * 86_400 }

export function checkMeaning(config: Config, raw: RawConfig): readonly Problem[] {
  return [
    ...checkInterfaces(config),
    ...checkDatabase(config),
    ...checkMode(config),
    ...config.dhcp.subnets.flatMap((subnet, index) => checkSubnet(subnet, `dhcp.subnets[${index}]`, raw, index)),
    ...checkPools(config.dhcp.subnets),
    ...checkPorts(config),
    ...checkUrl(config.boot.url, 'boot.url', ['http:']),
    ...checkUrl(config.boot.tls?.url ?? null, 'boot.tls.url', ['https:']),
    ...checkUrl(config.control.url, 'control.url', ['https:']),
    ...checkCertificate(config)
  ]
}

function checkInterfaces({ interfaces }: Config): readonly Problem[] {
  const twice = interfaces.find((name, index) => interfaces.indexOf(name) !== index)
  return twice === undefined ? [] : [{ path: 'interfaces', message: `names ${twice} twice` }]
}

function checkDatabase({ database }: Config): readonly Problem[] {
  if (database === null) return []
  const path = 'database'
  const url = URL.canParse(database) ? new URL(database) : null
  if (url === null || !['postgres:', 'postgresql:'].includes(url.protocol)) {
    return [{ path, message: 'must be null (SQLite in the data folder) or postgres://user@host/name' }]
  }
  if (url.password === '' && !url.searchParams.has('password')) return []
  // The password itself must not appear: this message is printed and logged.
  return [{ path, message: 'must not hold a password; put it into a file and name that in PGPASSFILE (mode 0600)' }]
}

function checkMode({ dhcp: { mode, subnets } }: Config): readonly Problem[] {
  const path = 'dhcp.subnets'
  if (mode === 'authoritative' && subnets.length === 0) {
    return [
      { path, message: 'is missing: mode authoritative gives out addresses and needs at least one subnet with a pool' }
    ]
  }
  if (mode !== 'authoritative' && subnets.length > 0) {
    return [
      { path, message: `must be empty: mode ${mode} gives out no addresses; use mode authoritative, or remove them` }
    ]
  }
  return []
}

function checkSubnet(subnet: SubnetConfig, place: string, raw: RawConfig, index: number): readonly Problem[] {
  const written = raw.dhcp!.subnets![index]!
  const lease = checkLease(subnet.leaseSeconds, written.lease, `${place}.lease`)
  const network = parseSubnet(subnet.subnet)
  if (network === null) {
    const message = `${subnet.subnet} is not a network such as 10.0.0.0/24 (bits after the prefix must be 0)`
    return [{ path: `${place}.subnet`, message }, ...lease]
  }
  const within = (path: string, text: string, what: string): readonly Problem[] => {
    const address = parseAddress(text)
    if (address === null) return [{ path, message: `${what} ${JSON.stringify(text)} is not an IPv4 address` }]
    if (contains(network, address)) return []
    return [{ path, message: `${what} ${text} is outside ${subnet.subnet}` }]
  }
  const { first, last } = subnet.pool
  const path = `${place}.pool`
  const [low, high] = [parseAddress(first), parseAddress(last)]
  const pool =
    written.pool.split('-').length === 2
      ? [...within(path, first, 'its first address'), ...within(path, last, 'its last address')]
      : [{ path, message: 'must be two addresses, such as 10.0.0.100-10.0.0.199' }]
  const order = low !== null && high !== null && low > high ? [{ path, message: `${first} comes after ${last}` }] : []
  const gateway = subnet.gateway === null ? [] : within(`${place}.gateway`, subnet.gateway, 'the gateway')
  return [...pool, ...order, ...checkEnds(subnet, place, low, high), ...gateway, ...lease]
}

/** The network's own address, its broadcast address and the gateway cannot be given to a machine. */
function checkEnds(
  { subnet, gateway }: SubnetConfig,
  place: string,
  low: number | null,
  high: number | null
): readonly Problem[] {
  const network = parseSubnet(subnet)
  if (network === null || low === null || high === null || low > high) return []
  if (!contains(network, low) || !contains(network, high)) return []
  const pool = { first: low, last: high }
  const path = `${place}.pool`
  const ends = network.last - network.first > 1 && (contains(pool, network.first) || contains(pool, network.last))
  const router = gateway === null ? null : parseAddress(gateway)
  return [
    ...(ends
      ? [{ path, message: `holds the network's first or last address of ${subnet}, which no machine may have` }]
      : []),
    ...(router !== null && contains(pool, router) ? [{ path, message: `holds the gateway ${gateway}` }] : [])
  ]
}

function checkLease(leaseSeconds: number, written: string | undefined, path: string): readonly Problem[] {
  if (Number.isNaN(leaseSeconds)) {
    return [{ path, message: `${JSON.stringify(written)} is not a duration such as 90s, 30m, 1h or 7d` }]
  }
  if (leaseSeconds >= LEASE_SECONDS.min && leaseSeconds <= LEASE_SECONDS.max) return []
  return [{ path, message: 'must be between 1m and 30d' }]
}

function checkPools(subnets: readonly SubnetConfig[]): readonly Problem[] {
  const networks = subnets.map(({ subnet }) => parseSubnet(subnet))
  return networks.flatMap((network, index) => {
    const other = networks.findIndex(
      (one, at) =>
        at < index && one !== null && network !== null && one.first <= network.last && network.first <= one.last
    )
    if (other === -1) return []
    return [{ path: `dhcp.subnets[${index}].subnet`, message: `overlaps dhcp.subnets[${other}].subnet` }]
  })
}

/** Port 0 means any free port: for tests and the lab, and never in the way of another. */
function checkPorts({ dhcp, tftp, boot, control }: Config): readonly Problem[] {
  const { server, client, proxy } = dhcp.ports
  const udp = [
    ...(dhcp.mode === 'off'
      ? []
      : [
          { path: 'dhcp.ports.server', port: server },
          { path: 'dhcp.ports.proxy', port: proxy }
        ]),
    { path: 'tftp.port', port: tftp.port }
  ]
  const tcp = [
    { path: 'boot.port', port: boot.port },
    ...(boot.tls === null ? [] : [{ path: 'boot.tls.port', port: boot.tls.port }]),
    { path: 'control.port', port: control.port }
  ]
  const same = server === client && server !== 0
  return [
    ...(same ? [{ path: 'dhcp.ports.client', message: `must differ from dhcp.ports.server (${server})` }] : []),
    ...shared(udp),
    ...shared(tcp)
  ]
}

function shared(ports: readonly { path: string; port: number }[]): readonly Problem[] {
  return ports.flatMap(({ path, port }, index) => {
    const other = ports.slice(0, index).find(one => one.port === port && port !== 0)
    return other === undefined ? [] : [{ path, message: `must differ from ${other.path} (${port})` }]
  })
}

const examplePorts: Readonly<Record<string, string>> = {
  'boot.url': ':8080',
  'boot.tls.url': ':8444',
  'control.url': ':8443'
}

/** scheme://host[:port] and nothing more: paths below it are ours. It stands in boot scripts and kernel arguments. */
function checkUrl(text: string | null, path: string, schemes: readonly string[]): readonly Problem[] {
  if (text === null) return []
  const example = `${schemes[0]}//slipway.example${examplePorts[path]}`
  const url = URL.canParse(text) ? new URL(text) : null
  if (url !== null && schemes.includes(url.protocol) && /^[a-z]+:\/\/[A-Za-z0-9.:[\]-]+$/.test(text)) return []
  return [{ path, message: `must be null or of the form ${example}, without user, path or query` }]
}

function checkCertificate({ control: { certificate, key } }: Config): readonly Problem[] {
  if ((certificate === null) === (key === null)) return []
  const path = certificate === null ? 'control.certificate' : 'control.key'
  return [{ path, message: 'is missing: certificate and key go together (both null: our own authority issues one)' }]
}
