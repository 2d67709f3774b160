// The command line as one tree. Each group of commands is a file of its own; this one knows only their names.

import { Command, CommanderError, Option } from 'commander'
import { addActs } from './act.ts'
import { addApply } from './apply.ts'
import { addAssets } from './assets.ts'
import { addCheck } from './check.ts'
import { addDescribe } from './describe.ts'
import { addDoctor } from './doctor.ts'
import { endingOf } from './failure.ts'
import { addGet } from './get.ts'
import { addInit } from './init.ts'
import { addLab } from './lab.ts'
import { addServe } from './serve.ts'

export function buildProgram(version: string): Command {
  const program = new Command('slipway')
    .description('From racked hardware to Ready Kubernetes nodes, and in-place upgrades by label.')
    .option('--server <url>', 'the server to talk to (SLIPWAY_SERVER; else the one that runs here)')
    .option('--token-file <file>', 'file with an access token (SLIPWAY_TOKEN_FILE)')
    .option('--ca-file <file>', 'the server’s certificate authority (SLIPWAY_CA_FILE)')
    .showHelpAfterError('(slipway --help says more)')
    .exitOverride()
  addLab(program)
  addServe(program)
  addInit(program)
  addCheck(program)
  addGet(program)
  addDescribe(program)
  addApply(program)
  addActs(program)
  addAssets(program)
  addDoctor(program)
  program
    .command('version')
    .description('which Slipway this is')
    .addOption(new Option('-o, --output <format>').choices(['json']))
    .action(({ output }: { output?: 'json' }) => {
      process.stdout.write(output === 'json' ? `${JSON.stringify({ version })}\n` : `slipway ${version}\n`)
    })
  for (const command of program.commands) command.exitOverride().showHelpAfterError('(add --help to see how)')
  return program
}

/** Runs one command line; returns the exit status: 0 done, 1 failed, 2 called wrongly. */
export async function runProgram(program: Command, args: readonly string[]): Promise<number> {
  try {
    await program.parseAsync(args, { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    // Commander has printed its own message; help and version are no failures.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    const { text, exitCode } = endingOf(error)
    process.stderr.write(`${text}\n`)
    return exitCode
  }
}
