// slipway doctor: why does it not boot? Looks at our own services from outside, asks the server what it has noticed on
// its networks, listens for other DHCP servers, reads a machine's timeline. Sends nothing that a healthy network would
// notice.

import { type Command, InvalidArgumentError, Option } from 'commander'
import { connect, type ServerOptions } from './connect.ts'
import { Failure } from './failure.ts'
import { plainText, paint } from './table.ts'
import { otherDhcpServers } from './doctor/dhcp.ts'
import type { Finding } from './doctor/finding.ts'
import { examineMachine } from './doctor/machine.ts'
import { examineNetwork } from './doctor/network.ts'
import { examineServices } from './doctor/services.ts'

interface DoctorOptions extends ServerOptions {
  readonly listen: number
  readonly output?: 'json'
}

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('why does it not boot: our own services, other DHCP servers, one machine’s timeline')
    .argument('[machine]', 'by id, name or MAC')
    .option('--listen <seconds>', 'how long to listen for other DHCP servers', secondsOf, 5)
    .addOption(new Option('-o, --output <format>').choices(['json']))
    .action(async (machine: string | undefined, _options, command: Command) => {
      const options = command.optsWithGlobals<DoctorOptions>()
      const findings = await examine(options, machine)
      const text = options.output === 'json' ? `${JSON.stringify(findings, null, 2)}\n` : findings.map(line).join('')
      process.stdout.write(text)
      const bad = findings.filter(({ verdict }) => verdict === 'bad').length
      if (bad > 0) throw new Failure(bad === 1 ? 'one thing is wrong' : `${bad} things are wrong`)
    })
}

async function examine(options: DoctorOptions, machine: string | undefined): Promise<Finding[]> {
  const server = await connect(options)
  const { findings, services } = await examineServices(server)
  if (services === null) return findings
  const network = await examineNetwork(server)
  findings.push(...network.findings)
  if (services.dhcp !== null && options.listen > 0) {
    findings.push(
      await otherDhcpServers(services.dhcp, new URL(services.boot).hostname, options.listen, network.expected)
    )
  }
  if (machine !== undefined) findings.push(...(await examineMachine(server, machine)))
  return findings
}

function line({ verdict, about, message }: Finding): string {
  const mark = { ok: paint('green', 'ok  ', process.stdout), bad: paint('red', 'BAD ', process.stdout), note: 'note' }
  return `${mark[verdict]}  ${about}: ${plainText(message).replaceAll('\n', ' ')}\n`
}

function secondsOf(text: string): number {
  const seconds = Number(text)
  if (!(seconds >= 0 && seconds <= 3600)) throw new InvalidArgumentError('It must be a number of seconds up to 3600.')
  return seconds
}
