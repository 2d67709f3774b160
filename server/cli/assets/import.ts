// slipway assets import: from files, folders, packages and URLs to what store.ts puts into the data folder.

import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rm, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { lockManifest } from '../../data/assets/files.ts'
import { isAssetPath } from '../../data/assets/manifest.ts'
import { Failure } from '../failure.ts'
import { archiveKind, unpack } from './archive.ts'
import { fetchTo, isAllowed, shownUrl } from './fetch.ts'
import { createProgress } from './progress.ts'
import { isInstallerPart, isIpxe, oldIpxe, recognise } from './recognise.ts'
import { type Imported, type Item, PARTIAL, removeLeftovers, store, type StoreDeps } from './store.ts'
import { walk } from './walk.ts'

export interface ImportOptions {
  /** Below /assets/: a folder for trees, a file for one file; null: recognised by name. */
  readonly as: string | null
  readonly sha256: string | null
}

export interface ImportResult {
  readonly files: readonly Imported[]
  readonly skipped: readonly string[]
  /** What was imported all the same, and should be looked at. */
  readonly warnings: readonly string[]
}

interface Found {
  readonly items: readonly Item[]
  readonly skipped: readonly string[]
}

/** Where bytes are, and what they are called. */
interface Source {
  readonly path: string
  readonly name: string
  readonly from: string
  readonly sha256: string | null
}

/** Throws a Failure that says what to do. What is fetched and unpacked on the way is gone afterwards. */
export async function importSources(
  sources: readonly string[],
  options: ImportOptions,
  deps: StoreDeps
): Promise<ImportResult> {
  if (options.as !== null) requirePlace(options.as)
  if (options.sha256 !== null && sources.length > 1) {
    throw new Failure('--sha256 is about one source; for several write URL#sha256=HEX', 2)
  }
  const { data, who } = deps
  const work = join(data, `${PARTIAL}${randomBytes(8).toString('hex')}`)
  const unlock = await who.asOwner(() => lockManifest(data, process.pid))
  try {
    await who.asOwner(async () => {
      await removeLeftovers(data)
      await mkdir(work, { mode: 0o700 })
    })
    const found: Found[] = []
    for (const text of sources) {
      const url = asUrl(text)
      const source = url === null ? await local(text, options) : await remote(url, options, work, deps)
      found.push(await gather(source, options, work, deps))
    }
    const items = unambiguous(found.flatMap(each => each.items))
    const files = await store(items, deps)
    const warnings = await who.asOwner(() => findOld(items, data))
    return { files, skipped: found.flatMap(({ skipped }) => skipped), warnings }
  } finally {
    await who.asOwner(async () => {
      await rm(work, { recursive: true, force: true })
      await unlock()
    })
  }
}

async function findOld(items: readonly Item[], data: string): Promise<string[]> {
  const warnings: string[] = []
  for (const { path, from } of items.filter(item => isIpxe(item.path))) {
    const year = oldIpxe(from) ?? oldIpxe(await readFile(join(data, path), 'latin1'))
    const remedy = 'it knows no HTTPS and is loaded twice; take one of 2025 or later, such as that of Debian 13'
    if (year !== null) warnings.push(`${path} is an iPXE of ${year}: ${remedy}`)
  }
  return warnings
}

/** `as` is a path below /assets/, where boot/ and extensions/ are the folders of the same names. */
function placeOf(as: string): string {
  return /^(boot|extensions)\//.test(as) ? as : `assets/${as}`
}

function requirePlace(as: string): void {
  if (isAssetPath(placeOf(as)) && as !== 'boot' && as !== 'extensions') return
  const example = 'such as fcos-44, c10/images or boot/ipxe.efi'
  throw new Failure(`--as wants a path below /assets/ of letters, digits and ._+@=-, ${example}; not ${as}`, 2)
}

function asUrl(text: string): URL | null {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(text) && URL.canParse(text) ? new URL(text) : null
}

async function local(text: string, { sha256 }: ImportOptions): Promise<Source> {
  const path = resolve(text)
  try {
    await stat(path)
  } catch (error) {
    throw new Failure(`${text} cannot be read: ${(error as Error).message}`, 1, { cause: error })
  }
  return { path, name: basename(path), from: path, sha256 }
}

async function remote(url: URL, options: ImportOptions, work: string, deps: StoreDeps): Promise<Source> {
  const shown = shownUrl(url)
  if (!isAllowed(url)) throw new Failure(`${shown}: only https:// and http:// without user and password are fetched`, 2)
  const sha256 = options.sha256 ?? /^#sha256=([0-9a-f]{64})$/i.exec(url.hash)?.[1]?.toLowerCase() ?? null
  if (sha256 === null) {
    const why = 'machines run what comes from there, so say which bytes are meant'
    throw new Failure(`${shown} needs --sha256 HEX, as its publisher states it: ${why}`, 2)
  }
  url.hash = ''
  const path = join(work, randomBytes(8).toString('hex'))
  const progress = createProgress(shown, process.stderr, Date.now)
  try {
    await deps.who.asOwner(() => fetchTo(path, { url, sha256 }, progress))
  } finally {
    progress.done()
  }
  return { path, name: basename(url.pathname), from: shown, sha256 }
}

async function gather(source: Source, options: ImportOptions, work: string, deps: StoreDeps): Promise<Found> {
  const { path, name, from, sha256 } = source
  if ((await stat(path)).isDirectory()) {
    if (sha256 !== null) throw new Failure(`${from} is a folder: --sha256 is about a file`, 2)
    return gatherTree(path, from, options, '/')
  }
  const kind = archiveKind(name)
  // Told to be one file below /assets/, a package is a file like others.
  if (kind === null || (options.as !== null && archiveKind(options.as) !== null)) return gatherFile(source, options)
  const folder = join(work, randomBytes(8).toString('hex'))
  await deps.who.asOwner(() => mkdir(folder, { mode: 0o700 }))
  if (sha256 !== null) await requireDigest(source, sha256)
  await unpack(path, name, folder, deps.who)
  return gatherTree(folder, from, options, ': ')
}

async function requireDigest({ path, from }: Source, sha256: string): Promise<void> {
  const { openDigests } = await import('../../data/digest/files.ts')
  const found = await openDigests()(path)
  if (found?.sha256 === sha256) return
  throw new Failure(`${from} has the SHA-256 ${found?.sha256 ?? 'of no file'}, not ${sha256}: nothing was imported`)
}

function gatherFile({ path, name, from, sha256 }: Source, { as }: ImportOptions): Found {
  const place = as === null ? recognise(name)?.path : placeOf(as.endsWith('/') ? as + name : as)
  if (place !== undefined && isAssetPath(place))
    return { items: [{ path: place, source: path, from, sha256 }], skipped: [] }
  const known = 'boot programs, slipway-agent-ARCH, kubernetes-VERSION-ARCH.raw, packages'
  throw new Failure(
    `${from} is nothing that is known by its name (${known}): say where it belongs with --as FOLDER/NAME`
  )
}

async function gatherTree(root: string, from: string, { as }: ImportOptions, joint: string): Promise<Found> {
  const { files, skipped } = await walk(root)
  if (as !== null) {
    const items = files.map(({ path, source }) => ({
      path: `${placeOf(as)}/${path}`,
      source,
      from: from + joint + path,
      sha256: null
    }))
    const good = items.filter(({ path }) => isAssetPath(path))
    const bad = items
      .filter(({ path }) => !isAssetPath(path))
      .map(each => `${each.from}: no name that machines may ask for`)
    if (good.length === 0) throw new Failure(`${from} holds no file that machines could be given`)
    return { items: good, skipped: [...skipped, ...bad] }
  }
  const best = new Map<string, { item: Item; rank: number }>()
  for (const { path, source } of files) {
    const known = recognise(path)
    if (known === null) continue
    const other = best.get(known.path)
    const item = { path: known.path, source, from: from + joint + path, sha256: null }
    if (other === undefined || known.rank < other.rank) best.set(known.path, { item, rank: known.rank })
  }
  // A link counts only where nothing else takes its place.
  const links = skipped.filter(line => {
    const known = recognise(line.slice(0, line.indexOf(':')))
    return known !== null && !best.has(known.path)
  })
  if (best.size > 0) return { items: [...best.values()].map(({ item }) => item), skipped: links }
  const installer = files.some(({ path }) => isInstallerPart(path))
  const remedy = installer
    ? 'it looks like an installer, which needs a name: --as NAME'
    : 'name the folder below /assets/ that it belongs in with --as NAME'
  throw new Failure([`${from} holds no file that is known by its name: ${remedy}`, ...links].join('\n  '))
}

/** Two sources for one place: nobody could say afterwards which one machines get. */
function unambiguous(items: readonly Item[]): readonly Item[] {
  const places = new Map<string, Item>()
  for (const item of items) {
    const other = places.get(item.path)
    if (other !== undefined)
      throw new Failure(`${item.path} would come from ${other.from} and from ${item.from}: name one of them`)
    places.set(item.path, item)
  }
  return items
}
