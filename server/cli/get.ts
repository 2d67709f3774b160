// slipway get: lists, as a table for people or as JSON and YAML for programs; -w goes on as things change.

import { Argument, type Command, Option } from 'commander'
import { connect, type Server, type ServerOptions } from './connect.ts'
import { Failure } from './failure.ts'
import { kinds, type ListKind } from './kinds.ts'
import { plainText, renderTable } from './table.ts'
import { follow } from './watch.ts'

type Format = 'table' | 'wide' | 'json' | 'yaml' | 'name'

interface GetOptions extends ServerOptions {
  readonly output: Format
  readonly watch?: true
}

export function addGet(program: Command): void {
  program
    .command('get')
    .description('list machines, boots, profiles, rules, clusters, nodes, leases or events')
    .addArgument(new Argument('<kind>', 'what to list').choices(Object.keys(kinds)))
    .argument('[name]', 'one of them; for events: those of this machine')
    .addOption(new Option('-o, --output <format>').choices(['table', 'wide', 'json', 'yaml', 'name']).default('table'))
    .option('-w, --watch', 'go on as things change, until Ctrl-C')
    .action(async (name: string, one: string | undefined, _options, command: Command) => {
      const options = command.optsWithGlobals<GetOptions>()
      const kind = kinds[name]!
      const server = await connect(options)
      const read = () => readRows(server, kind, one)
      const { rows, single } = await read()
      process.stdout.write(await render(kind, rows, options.output, single))
      if (options.watch === true) await watch(server, kind, read, rows, options.output)
    })
}

interface Read {
  readonly rows: unknown[]
  readonly single: boolean
}

async function readRows(server: Server, kind: ListKind, one: string | undefined): Promise<Read> {
  const path = `/api/v1/${kind.path}`
  if (one === undefined) return { rows: await server.get<unknown[]>(path), single: false }
  const name = encodeURIComponent(one)
  if (kind.path === 'events') return { rows: await server.get<unknown[]>(`${path}?machine=${name}`), single: false }
  if (kind.named) return { rows: [await server.get(`${path}/${name}`)], single: true }
  const found = (await server.get<never[]>(path)).find(row => kind.name(row) === one)
  if (found === undefined) throw new Failure(`no ${kind.singular} ${one}`)
  return { rows: [found], single: true }
}

async function render(kind: ListKind, rows: readonly unknown[], format: Format, single: boolean): Promise<string> {
  if (format === 'json') return `${JSON.stringify(single ? rows[0] : rows, null, 2)}\n`
  if (format === 'yaml') return (await import('yaml')).stringify(single ? rows[0] : rows)
  if (format === 'name') return rows.map(row => `${kind.singular}/${plainText(kind.name(row as never))}\n`).join('')
  if (rows.length === 0) return `no ${kind.path}\n`
  const columns = kind.columns(Date.now()).filter(({ wide }) => format === 'wide' || wide !== true)
  return `${renderTable(columns, rows as never[])}\n`
}

/** Prints each row that is new or reads differently than before. */
async function watch(
  server: Server,
  kind: ListKind,
  read: () => Promise<Read>,
  first: readonly unknown[],
  format: Format
): Promise<void> {
  const known = new Map(first.map(row => [kind.name(row as never), JSON.stringify(row)]))
  const one = format === 'json' ? (row: unknown) => `${JSON.stringify(row)}\n` : null
  await follow(server, async () => {
    const { rows } = await read()
    const changed = rows.filter(row => known.get(kind.name(row as never)) !== JSON.stringify(row))
    for (const row of changed) known.set(kind.name(row as never), JSON.stringify(row))
    if (changed.length === 0) return
    process.stdout.write(
      one === null ? withoutTitle(await render(kind, changed, format, false), format) : changed.map(one).join('')
    )
  })
}

function withoutTitle(text: string, format: Format): string {
  return format === 'table' || format === 'wide' ? text.slice(text.indexOf('\n') + 1) : text
}
