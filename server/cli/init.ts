// slipway init: looks at this host and writes a commented slipway.yaml. What is written is init-text.ts.

import { existsSync, readdirSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { type Command, Option } from 'commander'
import { toNumber } from '../core/ipv4.ts'
import { askInterface } from '../dhcp/bound/socket.ts'
import { Failure } from './failure.ts'
import { type InterfaceFact, writeInit } from './init-text.ts'

interface InitOptions {
  readonly interface?: string
  readonly file: string
  readonly output?: 'json'
}

/** Where a package would put it too. */
const DATA = '/var/lib/slipway'

export function addInit(program: Command): void {
  program
    .command('init')
    .description('look at this host and write a commented slipway.yaml')
    .option('--interface <name>', 'the network that machines boot from')
    .option('--file <file>', 'where to write; - prints it', 'slipway.yaml')
    .addOption(new Option('-o, --output <format>').choices(['json']))
    .action(init)
}

async function init({ interface: wanted, file, output }: InitOptions): Promise<void> {
  const made = writeInit({ interfaces: listInterfaces(), wanted: wanted ?? null, data: DATA })
  if (file === '-') {
    process.stdout.write(made.config)
    return
  }
  await writeNew(file, made.config)
  const { interface: name, address, firewall } = made
  const text = [
    `${file} is written for ${name} (${address}).`,
    'Open in a firewall, for the network of the machines only, with whichever of these you use:',
    ...firewall.map(line => `  ${line}`),
    'Next: slipway assets import --help (boot programs; slipway check names those that are missing), slipway serve.'
  ].join('\n')
  const json = JSON.stringify({ file, interface: name, address, firewall }, null, 2)
  process.stdout.write(`${output === 'json' ? json : text}\n`)
}

/** Never over one that is there. */
async function writeNew(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text, { flag: 'wx' })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const why = code === 'EEXIST' ? 'is there already; move it away, or name another with --file' : message
    throw new Failure(`${file}: ${why}`, 1, { cause: error })
  }
}

/** With those that have no carrier, such as a bridge before its first machine: Node leaves them out. */
function listInterfaces(): InterfaceFact[] {
  const all = networkInterfaces()
  const listed = Object.entries(all).map(([name, addresses = []]) => ({
    name,
    internal: addresses.some(({ internal }) => internal),
    addresses: addresses.map(({ family, address, cidr }) => ({ family, address, cidr }))
  }))
  const folder = '/sys/class/net'
  const others = existsSync(folder) ? readdirSync(folder).filter(name => all[name] === undefined) : []
  return [...listed, ...others.flatMap(findQuiet)]
}

function findQuiet(name: string): InterfaceFact[] {
  const known = askInterface(name)
  if (known === null || !known.up || known.address === null || known.netmask === null) return []
  const { address, netmask, loopback } = known
  const bits = toNumber(netmask).toString(2).replaceAll('0', '').length
  return [{ name, internal: loopback, addresses: [{ family: 'IPv4', address, cidr: `${address}/${bits}` }] }]
}
