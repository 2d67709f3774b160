// What `slipway init` writes: a commented slipway.yaml for this machine, and what a firewall must let in.
// Pure: the interfaces come in, texts go out; writing and asking is the command's.

import { Fault } from '../core/fault.ts'

/** As node:os networkInterfaces() tells them. */
export interface InterfaceFact {
  readonly name: string
  readonly internal: boolean
  readonly addresses: readonly {
    readonly family: 'IPv4' | 'IPv6'
    readonly address: string
    /** 10.0.0.1/24; null when the system does not say. */
    readonly cidr: string | null
  }[]
}

export interface InitFacts {
  readonly interfaces: readonly InterfaceFact[]
  /** --interface; null: the first that could serve. */
  readonly wanted: string | null
  /** Where the server will keep its data. */
  readonly data: string
}

export interface InitTexts {
  readonly interface: string
  readonly address: string
  /** slipway.yaml */
  readonly config: string
  /** One line each, for a person. */
  readonly firewall: readonly string[]
}

/** DHCP, TFTP and proxyDHCP; boot plane and control plane. */
const ports = ['67/udp', '69/udp', '4011/udp', '8080/tcp', '8443/tcp']

/** Throws Fault invalid or not_found, naming the interfaces there are. */
export function writeInit({ interfaces, wanted, data }: InitFacts): InitTexts {
  const chosen = choose(interfaces, wanted)
  const { address, cidr } = ipv4Of(chosen)!
  return {
    interface: chosen.name,
    address,
    config: configText(chosen.name, cidr ?? address, data),
    firewall: [
      `sudo firewall-cmd --permanent ${ports.map(port => `--add-port=${port}`).join(' ')}`,
      'sudo firewall-cmd --reload',
      `sudo ufw allow in on ${chosen.name} proto udp to any port 67,69,4011`,
      `sudo ufw allow in on ${chosen.name} proto tcp to any port 8080,8443`,
      'TFTP answers from a port of its own: a firewall in between must follow it (conntrack helper tftp)'
    ]
  }
}

function choose(interfaces: readonly InterfaceFact[], wanted: string | null): InterfaceFact {
  const usable = interfaces.filter(one => ipv4Of(one) !== null)
  if (wanted === null) {
    const first = usable.find(({ internal }) => !internal)
    if (first !== undefined) return first
    throw new Fault(
      'not_found',
      `no network interface has an IPv4 address; give one to the interface that faces the machines`
    )
  }
  const found = usable.find(({ name }) => name === wanted)
  if (found !== undefined) return found
  const known = usable.map(({ name }) => name).join(', ')
  const lacks = interfaces.some(({ name }) => name === wanted) ? 'has no IPv4 address' : 'does not exist'
  throw new Fault('invalid', `interface ${wanted} ${lacks}; there are: ${known === '' ? 'none' : known}`)
}

function ipv4Of({ addresses }: InterfaceFact) {
  return addresses.find(({ family }) => family === 'IPv4') ?? null
}

/** Names of interfaces and folders may hold anything but a slash or NUL: JSON's quotes are YAML's. */
function configText(name: string, address: string, data: string): string {
  return `# Configuration of the Slipway server. Check it with: slipway check --config THIS_FILE

# SQLite, certificate authority, boot files, agents. Only the server's user may read it (0700).
data: ${JSON.stringify(data)}

# Whom the server becomes once its ports are open; the data folder must belong to that user. null: whoever starts it.
user: null

# null: SQLite in the data folder. Or postgres://user@host/name, with the password in the file that PGPASSFILE names.
database: null

# Where machines are served; ${JSON.stringify(address)} is its address now.
interfaces: [${JSON.stringify(name)}]

dhcp:
  # proxy: another DHCP server gives out the addresses; we only say what to boot.
  # authoritative: we give out the addresses as well, from the pools below. Never with another DHCP server beside it.
  # off: something else says what to boot (next-server and file name).
  mode: proxy
  ports: {server: 67, client: 68, proxy: 4011}
  # Ask every five minutes for other DHCP servers, and show them.
  probe: true
  subnets: []
  # subnets:
  #   - {subnet: 10.0.0.0/24, pool: 10.0.0.100-10.0.0.199, gateway: 10.0.0.1, dns: [10.0.0.1], lease: 1h}

tftp: {port: 69}

# url: how machines reach us when it is not by the interface's address, e.g. http://boot.rack.example:8080
# loader: ipxe, or shim for machines with Secure Boot on (a Machine document may say so for one machine).
# tls: {port: 8444} serves it by HTTPS as well, for firmware in which ca/firmware.crt of the data folder is enrolled.
boot: {port: 8080, url: null, loader: ipxe, tls: null}

# Web page, API and agents; HTTPS only. certificate and key: paths; null: our own authority issues one.
control: {port: 8443, url: null, certificate: null, key: null}

# A cluster that exists already. Without it, the first machine of role control-plane makes one with kubeadm init.
# cluster: {kubeconfig: /etc/slipway/kubeconfig}

log: {level: info}
`
}
