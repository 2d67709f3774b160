// slipway assets: what machines are given, put into the data folder of this host and looked after by digest. Works
// beside a running server, which sees new files at once, and without one.

import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { stringify } from 'yaml'
import { prepareData } from '../data/files.ts'
import { makeFolderFor } from '../privileges/run.ts'
import { createProgress, size } from './assets/progress.ts'
import { dataFolder, type DataOptions } from './data-folder.ts'
import { Failure } from './failure.ts'
import { paint, plainText, renderTable } from './table.ts'
import type { Asset } from './assets/look.ts'

interface ImportFlags extends DataOptions {
  readonly as?: string
  readonly sha256?: string
  readonly output?: 'json'
}

const examples = `
Examples:
  slipway assets import /usr/lib/ipxe                     what Debian’s package ipxe has installed
  slipway assets import ipxe_2.0.0_all.deb                the same from the package, not installed
  slipway assets import /usr/lib/shim /usr/lib/grub/x86_64-efi-signed
  slipway assets import dist/slipway-agent-x86_64 kubernetes-v1.36.3-x86_64.raw
  slipway assets import /mnt/centos --as c10              an installer tree: os.assets: c10 in a profile
  slipway assets import --sha256 HEX --as fcos-44/vmlinuz https://builds.example/fedora-coreos-44-live-kernel

Known by name: iPXE, shim and GRUB as distributions name them, slipway-agent-ARCH and kubernetes-VERSION-ARCH.raw. All
else needs --as: NAME for a folder or a package, FOLDER/NAME for a file. Packages (.deb, .rpm, .iso, .tar) are unpacked
by dpkg-deb, bsdtar and tar. A URL needs its SHA-256, since machines run what comes from there.`

export function addAssets(program: Command): void {
  const assets = program
    .command('assets')
    .description('boot programs, installers, agents, system extensions: by digest, in the data folder of this host')
  place(assets.command('import <source...>'))
    .description('take files, folders, packages (.deb, .rpm, .iso) or URLs into the data folder')
    .option('--as <name>', 'where it belongs below /assets/: a folder, or folder/name for one file')
    .option('--sha256 <hex>', 'what the source’s SHA-256 must be; needed for URLs', sha256Of)
    .addOption(new Option('-o, --output <format>').choices(['json']))
    .addHelpText('after', examples)
    .action(importAssets)
  place(assets.command('list'))
    .description('what is there, where it came from, whether it is as it was imported')
    .addOption(new Option('-o, --output <format>').choices(['table', 'wide', 'json', 'yaml']).default('table'))
    .action(listAssets)
  place(assets.command('verify'))
    .description('read every file again and say which are not what was imported')
    .addOption(new Option('-o, --output <format>').choices(['json']))
    .action(verifyAssets)
  for (const command of assets.commands) command.exitOverride().showHelpAfterError('(add --help to see how)')
}

function place(command: Command): Command {
  return command
    .option('--config <file>', 'whose data folder (default: ./slipway.yaml, then /etc/slipway/slipway.yaml)')
    .option('--data <folder>', 'the data folder itself')
}

async function importAssets(sources: string[], flags: ImportFlags): Promise<void> {
  const { data, user } = await dataFolder(flags)
  if (user !== null && process.geteuid?.() === 0) makeFolderFor(user, data)
  else if (!existsSync(data)) await prepareData(data)
  const { identityFor } = await import('./assets/owner.ts')
  const { importSources } = await import('./assets/import.ts')
  const options = { as: flags.as?.replace(/\/$/, '') ?? null, sha256: flags.sha256 ?? null }
  const who = identityFor(data)
  await who.asOwner(() => prepareData(data))
  const deps = { data, who, now: () => new Date(), progressOf }
  const result = await importSources(sources, options, deps)
  const { files, skipped, warnings } = result
  if (flags.output === 'json') return void process.stdout.write(`${JSON.stringify(result, null, 2)}\n`)
  const line = (file: (typeof files)[number]) =>
    `${file.path} ${file.result}, ${size(file.size)}, SHA-256 ${file.sha256}\n`
  const total = files.reduce((sum, file) => sum + file.size, 0)
  process.stdout.write(files.length <= LINES_MAX ? files.map(line).join('') : `${files.length} files, ${size(total)}\n`)
  for (const text of warnings) process.stderr.write(`warning: ${plainText(text)}\n`)
  for (const text of skipped.slice(0, LINES_MAX)) process.stderr.write(`left out: ${plainText(text)}\n`)
  if (skipped.length > LINES_MAX)
    process.stderr.write(`left out: ${skipped.length - LINES_MAX} more (-o json names them)\n`)
}

/** An installer tree has thousands of files. */
const LINES_MAX = 50

async function listAssets(flags: DataOptions & { output: 'table' | 'wide' | 'json' | 'yaml' }): Promise<void> {
  const assets = await look(flags, 'list')
  const text = {
    json: () => `${JSON.stringify(assets, null, 2)}\n`,
    yaml: () => stringify(assets),
    table: () => `${renderTable(columns('table'), assets)}\n`,
    wide: () => `${renderTable(columns('wide'), assets)}\n`
  }
  process.stdout.write(text[flags.output]())
}

function columns(width: 'table' | 'wide') {
  const shown = [
    { title: 'PATH', value: ({ path }: Asset) => path },
    { title: 'SIZE', value: (asset: Asset) => (asset.size === null ? null : size(asset.size)) },
    { title: 'SHA-256', value: ({ sha256 }: Asset) => (width === 'wide' ? sha256 : (sha256?.slice(0, 12) ?? null)) },
    { title: 'STATE', value: ({ state }: Asset) => state },
    { title: 'FROM', value: ({ from }: Asset) => (width === 'wide' ? from : shortened(from)) }
  ]
  return width === 'wide' ? [...shown, { title: 'IMPORTED', value: ({ at }: Asset) => at }] : shown
}

/** A package without the folder that it lay in. */
function shortened(from: string | null): string | null {
  return from?.replace(/^.*\/(?=[^/]+: )/, '') ?? null
}

async function verifyAssets(flags: DataOptions & { output?: 'json' }): Promise<void> {
  const assets = await look(flags, 'verify')
  const wrong = assets.filter(({ state }) => state === 'changed' || state === 'missing')
  if (flags.output === 'json') process.stdout.write(`${JSON.stringify(assets, null, 2)}\n`)
  else {
    const [good, strange] = (['ok', 'not recorded'] as const).map(state => assets.filter(each => each.state === state))
    process.stdout.write(`${good!.length} as imported, ${strange!.length} not recorded\n`)
    for (const { path, state } of wrong) process.stdout.write(`${paint('red', state, process.stdout)}  ${path}\n`)
  }
  if (wrong.length === 0) return
  const names = wrong.map(({ path, state }) => `${path} (${state})`).join(', ')
  throw new Failure(
    `not as imported, and not served: ${plainText(names)}; import ${wrong.length === 1 ? 'it' : 'them'} again`
  )
}

async function look(flags: DataOptions, depth: 'list' | 'verify'): Promise<Asset[]> {
  const { data } = await dataFolder(flags)
  const { lookAt } = await import('./assets/look.ts')
  return lookAt(resolve(data), depth, progressOf)
}

function progressOf(path: string) {
  return createProgress(path, process.stderr, Date.now)
}

function sha256Of(text: string): string {
  if (!/^[0-9a-f]{64}$/i.test(text)) throw new InvalidArgumentError('It must be 64 hexadecimal digits.')
  return text.toLowerCase()
}
