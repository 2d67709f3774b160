// slipway lab: the real server and a simulated rack on this host. Loaded only when asked for: it lives below test/.

import { type Command, InvalidArgumentError } from 'commander'

interface Options {
  readonly machines: number
  readonly once: boolean
  readonly json: boolean
  readonly upgrade: boolean
}

const MACHINES_MAX = 200

export function addLab(program: Command): void {
  program
    .command('lab')
    .description('everything at once on this host, to try it: the real server and simulated machines')
    .option('--machines <n>', 'how many machines', countOf, 6)
    .option('--once', 'end when every machine is Ready', false)
    .option('--upgrade', 'then upgrade them by label', false)
    .option('--json', 'one event a line', false)
    .action(async (options: Options) => {
      const { runLab } = await import('../../test/lab/main.ts')
      const { stdout, stderr, env } = process
      process.exitCode = await runLab(options, {
        out: text => void stdout.write(text),
        error: text => void stderr.write(text),
        columns: () => (stdout.isTTY ? stdout.columns : null),
        colour: stdout.isTTY && (env.NO_COLOR ?? '') === '' ? 'colour' : 'plain'
      })
    })
}

function countOf(text: string): number {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1 || count > MACHINES_MAX) {
    throw new InvalidArgumentError(`It must be a number from 1 to ${MACHINES_MAX}.`)
  }
  return count
}
