// Ignition configs of specification 3.4 (first read by Ignition 2.15, so by every Fedora CoreOS of today):
// plain input in, JSON text out. A leaf: it knows nothing of Slipway. Left out on purpose are storage.disks,
// raid, luks and kernelArguments: the disk belongs to the installer.
//
// The same input gives the same bytes: entries are sorted by their key, members are in a fixed order.

export interface IgnitionInput {
  /** PEM texts that Ignition trusts when it fetches remote contents over https. */
  readonly authorities: readonly string[]
  readonly directories: readonly { readonly path: string; readonly mode: number }[]
  readonly files: readonly IgnitionFile[]
  readonly users: readonly IgnitionUser[]
  readonly units: readonly IgnitionUnit[]
}

export interface IgnitionFile {
  readonly path: string
  readonly mode: number
  readonly contents: string | RemoteContents
}

/** Fetched by Ignition on the machine, refused unless it has this SHA-256 (64 hexadecimal digits). */
export interface RemoteContents {
  readonly url: string
  readonly sha256: string
}

export interface IgnitionUser {
  readonly name: string
  readonly groups: readonly string[]
  readonly sshAuthorizedKeys: readonly string[]
}

/** Without contents: a unit that the system has and that is only to be enabled. */
export interface IgnitionUnit {
  readonly name: string
  readonly enabled?: boolean
  readonly contents?: string
}

/** The config as JSON text (configuration-v3_4.md). Modes are numbers: 0o600 becomes decimal, as the format wants. */
export function renderIgnition({ authorities, directories, files, users, units }: IgnitionInput): string {
  const certificateAuthorities = authorities.map(pem => ({ source: dataUrl(pem) }))
  const config = {
    ignition: {
      version: '3.4.0',
      ...(authorities.length === 0 ? {} : { security: { tls: { certificateAuthorities } } })
    },
    ...(users.length === 0 ? {} : { passwd: { users: sorted(users, user => user.name).map(userEntry) } }),
    storage: {
      directories: sorted(directories, ({ path }) => path).map(({ path, mode }) => ({ path, mode })),
      files: sorted(files, ({ path }) => path).map(fileEntry)
    },
    systemd: { units: sorted(units, ({ name }) => name).map(unitEntry) }
  }
  return `${JSON.stringify(config, null, 1)}\n`
}

function userEntry({ name, groups, sshAuthorizedKeys }: IgnitionUser) {
  return { name, ...(groups.length === 0 ? {} : { groups }), sshAuthorizedKeys: [...new Set(sshAuthorizedKeys)] }
}

function fileEntry({ path, mode, contents }: IgnitionFile) {
  // A live system has /etc/hostname and its like already; without overwrite Ignition would stop the boot there.
  if (typeof contents === 'string') return { path, mode, overwrite: true, contents: { source: dataUrl(contents) } }
  const verification = { hash: `sha256-${contents.sha256}` }
  return { path, mode, overwrite: true, contents: { source: contents.url, verification } }
}

function unitEntry({ name, enabled, contents }: IgnitionUnit) {
  return { name, ...(enabled === undefined ? {} : { enabled }), ...(contents === undefined ? {} : { contents }) }
}

/** RFC 2397 with base64, so that no byte of the contents means anything to a URL parser. */
function dataUrl(text: string): string {
  return `data:;base64,${Buffer.from(text, 'utf8').toString('base64')}`
}

function sorted<T>(items: readonly T[], key: (item: T) => string): readonly T[] {
  return items.toSorted((a, b) => (key(a) < key(b) ? -1 : 1))
}
