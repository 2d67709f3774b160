// slipway approve, reject, install, retire: what an operator decides about machines, one request a machine.

import { type Command, Option } from 'commander'
import type { Machine } from '../contract/machine.ts'
import { connect, type ServerOptions } from './connect.ts'
import { Failure } from './failure.ts'

interface ActOptions extends ServerOptions {
  readonly profile?: string
  readonly name?: string
  readonly reason?: string
  readonly wipe?: true
  readonly output?: 'json'
}

export function addActs(program: Command): void {
  add(program, 'approve', 'take machines in and arm their first installation', options => ({
    ...given('profile', options.profile),
    ...given('name', options.name)
  }))
    .option('--profile <name>', 'what they become, when no rule says it')
    .option('--name <name>', 'what one machine is called')
  add(program, 'reject', 'leave machines alone: they boot from their local disk', reasonOf).option(
    '--reason <text>',
    'shown wherever the machine is'
  )
  add(program, 'install', 'arm one (re)installation at the next network boot', ({ wipe }) => ({
    ...given('wipe', wipe)
  })).option('--wipe', 'allow it to erase disks that hold data')
  add(program, 'retire', 'end their trust at once and delete their nodes', reasonOf).option(
    '--reason <text>',
    'shown wherever the machine is'
  )
}

function reasonOf({ reason }: ActOptions): object {
  return given('reason', reason)
}

function given(key: string, value: unknown): object {
  return value === undefined ? {} : { [key]: value }
}

function add(program: Command, verb: string, description: string, bodyOf: (options: ActOptions) => object): Command {
  return program
    .command(verb)
    .description(description)
    .argument('<machine...>', 'by id, name or MAC')
    .addOption(new Option('-o, --output <format>').choices(['json']))
    .action(async (refs: string[], _options, command: Command) => {
      const options = command.optsWithGlobals<ActOptions>()
      if (options.name !== undefined && refs.length > 1) throw new Failure('--name is for one machine', 2)
      const server = await connect(options)
      const failed: string[] = []
      const done: Machine[] = []
      for (const ref of refs) {
        try {
          const path = `/api/v1/machines/${encodeURIComponent(ref)}/${verb}`
          done.push(await server.send<Machine>('POST', path, bodyOf(options)))
        } catch (error) {
          if (!(error instanceof Failure)) throw error
          failed.push(`${ref}: ${error.message}`) // the others are still to be done; all are told at the end
        }
      }
      const text = options.output === 'json' ? `${JSON.stringify(done, null, 2)}\n` : done.map(sayOf).join('')
      process.stdout.write(text)
      if (failed.length > 0) throw new Failure(failed.join('\n'))
    })
}

function sayOf({ name, id, state, next }: Machine): string {
  return `machine/${name ?? id} is ${state}; next: ${next}\n`
}
