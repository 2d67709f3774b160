// Applies an Ignition 3.x config to a folder that stands for a machine's disk: files (data: URLs and remote ones,
// verified), directories, links, units, authorised keys. Left out, and refused rather than skipped: disks, RAID,
// file systems, LUKS, kernel arguments, merged configs. Ownership is not changed: the lab needs no root.

import { createHash } from 'node:crypto'
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import { gunzipSync } from 'node:zlib'

interface Resource {
  source?: string
  compression?: string
  verification?: { hash?: string }
}

interface Config {
  ignition: { version: string; config?: object }
  storage?: {
    files?: { path: string; mode?: number; overwrite?: boolean; contents?: Resource; append?: Resource[] }[]
    directories?: { path: string; mode?: number }[]
    links?: { path: string; target: string; hard?: boolean }[]
    [other: string]: unknown
  }
  systemd?: {
    units?: {
      name: string
      enabled?: boolean
      mask?: boolean
      contents?: string
      dropins?: { name: string; contents?: string }[]
    }[]
  }
  passwd?: { users?: { name: string; sshAuthorizedKeys?: string[] }[] }
  [other: string]: unknown
}

/** Gets a remote source; Ignition itself repeats 5xx for ever, so the caller bounds the time. */
export type Fetch = (url: string) => Promise<Buffer>

/** Writes what the config says below `root`. Throws with Ignition's own kind of sentence when it would have failed. */
export async function applyIgnition(text: string, root: string, fetch: Fetch): Promise<void> {
  const config = parse(text)
  const { files = [], directories = [], links = [] } = config.storage ?? {}
  for (const { path, mode = 0o755 } of directories) {
    await mkdir(inside(root, path), { recursive: true })
    await chmod(inside(root, path), mode)
  }
  for (const { path, mode = 0o644, overwrite = false, contents, append = [] } of files) {
    const parts = [contents ?? {}, ...append].map(resource => read(resource, path, fetch))
    const bytes = Buffer.concat(await Promise.all(parts))
    await write(inside(root, path), bytes, mode, overwrite)
  }
  for (const { path, target } of links) {
    await mkdir(dirname(inside(root, path)), { recursive: true })
    await symlink(target, inside(root, path))
  }
  await units(root, config.systemd?.units ?? [])
  for (const { name, sshAuthorizedKeys = [] } of config.passwd?.users ?? []) {
    const file = inside(root, `/home/${name}/.ssh/authorized_keys.d/ignition`)
    await write(file, Buffer.from(`${sshAuthorizedKeys.join('\n')}\n`), 0o600, false)
  }
}

function parse(text: string): Config {
  let config: Config
  try {
    config = JSON.parse(text) as Config
  } catch (cause) {
    throw new Error('config is not valid: not JSON', { cause })
  }
  const version = config.ignition?.version ?? ''
  if (!/^3\.[0-5]\.0$/.test(version)) throw new Error(`config is not valid: unsupported config version ${version}`)
  const known = { top: ['ignition', 'storage', 'systemd', 'passwd'], storage: ['files', 'directories', 'links'] }
  const others = [
    ...Object.keys(config).filter(key => !known.top.includes(key)),
    ...Object.keys(config.storage ?? {}).filter(key => !known.storage.includes(key)),
    ...Object.keys(config.ignition.config ?? {})
  ]
  if (others.length > 0) throw new Error(`the simulated Ignition does not do: ${others.join(', ')}`)
  return config
}

async function read({ source, compression = '', verification }: Resource, path: string, fetch: Fetch): Promise<Buffer> {
  if (source === undefined) return Buffer.alloc(0)
  const bytes = source.startsWith('data:') ? dataOf(source) : await fetch(source)
  // The hash is over what was fetched, before decompression (Ignition's configuration specification, verification).
  verify(bytes, verification?.hash, path)
  return compression === 'gzip' ? gunzipSync(bytes, { maxOutputLength: 256 * 1024 * 1024 }) : bytes
}

function verify(bytes: Buffer, expected: string | undefined, path: string): void {
  if (expected === undefined) return
  const [, name = '', want = ''] = /^(sha256|sha512)-([0-9a-f]+)$/.exec(expected) ?? []
  if (name === '') throw new Error(`config is not valid: hash of ${path}`)
  const got = createHash(name).update(bytes).digest('hex')
  if (got !== want) throw new Error(`${path}: hash verification failed (calculated ${got} but expected ${want})`)
}

/** RFC 2397: data:[type][;base64],text */
export function dataOf(url: string): Buffer {
  const comma = url.indexOf(',')
  if (comma === -1) throw new Error('config is not valid: data URL without a comma')
  const text = url.slice(comma + 1)
  return url.slice(0, comma).endsWith(';base64')
    ? Buffer.from(decodeURIComponent(text), 'base64')
    : Buffer.from(decodeURIComponent(text), 'utf8')
}

async function units(root: string, all: NonNullable<NonNullable<Config['systemd']>['units']>): Promise<void> {
  for (const { name, contents, enabled, mask = false, dropins = [] } of all) {
    const file = inside(root, `/etc/systemd/system/${name}`)
    if (mask) {
      await mkdir(dirname(file), { recursive: true })
      await symlink('/dev/null', file)
    } else if (contents !== undefined) await write(file, Buffer.from(contents), 0o644, true)
    for (const dropin of dropins) {
      await write(join(`${file}.d`, dropin.name), Buffer.from(dropin.contents ?? ''), 0o644, true)
    }
    if (enabled === true) await enable(root, name)
  }
}

/** What `systemctl enable` does to a unit that is wanted by multi-user.target; systemd's start looks there. */
export async function enable(root: string, unit: string): Promise<void> {
  const wants = inside(root, '/etc/systemd/system/multi-user.target.wants')
  await mkdir(wants, { recursive: true })
  await symlink(`/etc/systemd/system/${unit}`, join(wants, unit)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error // enabled already
  })
}

async function write(file: string, bytes: Buffer, mode: number, overwrite: boolean): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, bytes, { flag: overwrite ? 'w' : 'wx', mode: 0o600 })
  await chmod(file, mode) // the process's umask has no say on a machine's disk
}

/** The path on the machine's disk. Configs come over the network: nothing may be written beside the folder. */
export function inside(root: string, path: string): string {
  if (!path.startsWith('/') || normalize(path) !== path) throw new Error(`config is not valid: path ${path}`)
  return join(root, path)
}
