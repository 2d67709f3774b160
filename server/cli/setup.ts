// slipway init and check: before the server runs. init looks at this host and writes a commented slipway.yaml; check
// reads what would be served and says everything that is wrong with it. Neither changes anything else.

import { writeFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import type { Command } from 'commander'
import { Failure } from './failure.ts'

export function addSetup(program: Command): void {
  program
    .command('init')
    .description('look at this host and write a commented slipway.yaml')
    .option('--interface <name>', 'the network that machines boot from')
    .option('--file <file>', 'where to write; - prints it', 'slipway.yaml')
    .action(init)
  program
    .command('check')
    .description('say what is wrong with the configuration and with documents; changes nothing')
    .option('--config <file>', 'configuration to check (default: slipway.yaml, unless documents are named)')
    .option('-f, --file <file...>', 'profiles, rules, clusters, machines')
    .action(check)
}

interface Place {
  readonly name: string
  readonly address: string
  readonly cidr: string
}

async function init(options: { interface?: string; file: string }): Promise<void> {
  const places = listPlaces()
  const place = choose(places, options.interface)
  const text = configFor(place)
  if (options.file === '-') {
    process.stdout.write(text)
    return
  }
  try {
    await writeFile(options.file, text, { flag: 'wx' })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const why = code === 'EEXIST' ? 'is there already; move it away, or name another with --file' : message
    throw new Failure(`${options.file}: ${why}`, 1, { cause: error })
  }
  process.stdout.write(`${options.file} is written for ${place.name} (${place.cidr}).
Open in a firewall, from the machines' network only:
  UDP 67, 4011 (DHCP, proxyDHCP), UDP 69 (TFTP), TCP 8080 (boot), TCP 8443 (control)
Next: slipway check, then slipway serve.
`)
}

function listPlaces(): Place[] {
  return Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    (addresses ?? [])
      .filter(({ family, internal }) => family === 'IPv4' && !internal)
      .map(({ address, cidr }) => ({ name, address, cidr: cidr ?? address }))
  )
}

function choose(places: readonly Place[], wanted: string | undefined): Place {
  const names = [...new Set(places.map(({ name }) => name))].join(', ')
  const found = wanted === undefined ? places[0] : places.find(({ name }) => name === wanted)
  if (found === undefined) {
    throw new Failure(
      wanted === undefined
        ? 'no network interface with an IPv4 address; give one an address first'
        : `no interface ${wanted} with an IPv4 address; there is ${names === '' ? 'none' : names}`
    )
  }
  return found
}

function configFor({ name, address, cidr }: Place): string {
  return `# Slipway's configuration. slipway check says what is wrong with it.

# The database, the certificate authority, installers, boot programs and agents. Readable by the server only.
data: /var/lib/slipway

# postgres://… when several servers share one; null is the database in the data folder.
database: null

# The network that machines boot from. ${name} has ${cidr}.
interfaces: [${name}]

dhcp:
  # proxy: another DHCP server gives the addresses, this one only says what to boot.
  # authoritative: this server gives the addresses too; then subnets says which.
  # off: something else tells machines to boot http://${address}:8080/boot/ipxe
  mode: proxy
  # subnets:
  #   - {subnet: 10.0.0.0/24, pool: 10.0.0.100-10.0.0.199, gateway: 10.0.0.1, dns: [10.0.0.1], lease: 1h}

tftp: {port: 69}

# Plain HTTP for firmware and installers.
boot: {port: 8080}

# TLS for agents, people and programs. Without a certificate of yours, the server's own authority makes one.
control: {port: 8443}

# An existing cluster; without it, the first control-plane machine makes one with kubeadm init.
# cluster: {kubeconfig: /etc/slipway/kubeconfig}

log: {level: info}
`
}

async function check(options: { config?: string; file?: string[] }): Promise<void> {
  const files = options.file ?? []
  const config = options.config ?? (files.length === 0 ? 'slipway.yaml' : null)
  if (config !== null) {
    const { readChecked } = await import('./serve.ts')
    await readChecked(config)
    process.stdout.write(`${config} is right\n`)
  }
  if (files.length === 0) return
  const { checkDocuments, checkReferences } = await import('../core/documents.ts')
  const { readDocuments } = await import('./apply.ts')
  const raws = (await Promise.all(files.map(readDocuments))).flat()
  const checked = checkDocuments(raws)
  const problems = 'problems' in checked ? checked.problems : checkReferences(checked.documents)
  if (problems.length > 0) {
    throw new Failure(
      ['the documents have problems:', ...problems.map(({ path, message }) => `  ${path}: ${message}`)].join('\n')
    )
  }
  process.stdout.write(`${raws.length} documents are right\n`)
}
