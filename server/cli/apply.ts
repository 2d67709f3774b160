// slipway apply: profiles, rules, clusters and machines from YAML files, all of them or none.

import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { type Command, Option } from 'commander'
import { connect, type ServerOptions } from './connect.ts'
import { Failure } from './failure.ts'

interface ApplyOptions extends ServerOptions {
  readonly file: string[]
  readonly output?: 'json'
}

export function addApply(program: Command): void {
  program
    .command('apply')
    .description('create or change what the documents in the files describe')
    .requiredOption('-f, --file <file...>', 'YAML or JSON; - is standard input')
    .addOption(new Option('-o, --output <format>').choices(['json']))
    .action(async (_options, command: Command) => {
      const options = command.optsWithGlobals<ApplyOptions>()
      const documents = (await Promise.all(options.file.map(readDocuments))).flat()
      if (documents.length === 0) throw new Failure('the files hold no document')
      const server = await connect(options)
      type Applied = Array<{ kind: string; name: string; result: string }>
      const applied = await server.send<Applied>('POST', '/api/v1/apply', documents)
      process.stdout.write(
        options.output === 'json'
          ? `${JSON.stringify(applied, null, 2)}\n`
          : applied.map(({ kind, name, result }) => `${kind.toLowerCase()}/${name} ${result}\n`).join('')
      )
    })
}

/** The documents of one file, unchecked. Throws with the file's name. */
export async function readDocuments(file: string): Promise<unknown[]> {
  const content = file === '-' ? await text(process.stdin) : await readText(file)
  const { parseYaml } = await import('../yaml.ts')
  return parseYaml(content, file)
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new Failure(`cannot read ${file}: ${(error as Error).message}`, 1, { cause: error })
  }
}
