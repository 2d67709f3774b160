// Reads a kubeconfig (clientcmd v1) as far as Slipway needs it: one server, its CA, and a client certificate or a
// token. Pure: files that it refers to are named, not opened (files.ts does). Exec plugins, proxies, passwords and
// skipped verification are refused with a sentence rather than ignored.

/** PEM text given inline, or the path where it lies. */
export type Material = { readonly pem: string } | { readonly path: string }

export interface Kubeconfig {
  readonly server: string
  readonly serverName: string | null
  readonly ca: Material | null
  readonly certificate: Material | null
  readonly key: Material | null
  readonly token: { readonly text: string } | { readonly path: string } | null
}

export class KubeconfigError extends Error {
  override readonly name = 'KubeconfigError'
}

const textCharactersMax = 256 * 1024

/**
 * Parses YAML or JSON. The yaml package is loaded only here, so that an agent without a kubeconfig never pays for it.
 */
export async function parseKubeconfig(text: string): Promise<Kubeconfig> {
  if (text.length > textCharactersMax) throw new KubeconfigError('the kubeconfig is larger than 256 KiB')
  const { parse } = await import('yaml')
  let raw: unknown
  try {
    raw = parse(text, { maxAliasCount: 0 })
  } catch {
    // The parser's message quotes the line, and that line may hold a key: so no cause, no detail.
    throw new KubeconfigError('the kubeconfig is not valid YAML')
  }
  return readKubeconfig(raw)
}

/** The same from data already parsed. */
export function readKubeconfig(raw: unknown): Kubeconfig {
  const config = record(raw, 'the kubeconfig')
  const contexts = named(config, 'contexts')
  const current = text(config['current-context'])
  const context = current === null ? null : record(find(contexts, current, 'context')['context'], `context ${current}`)
  const cluster = pick(named(config, 'clusters'), context === null ? null : text(context['cluster']), 'cluster')
  const user = pick(named(config, 'users'), context === null ? null : text(context['user']), 'user')
  return { ...readCluster(cluster), ...readUser(user) }
}

function readCluster(cluster: Fields | null): Pick<Kubeconfig, 'server' | 'serverName' | 'ca'> {
  const server = text(cluster?.['server'])
  if (cluster === null || server === null) throw new KubeconfigError('the kubeconfig names no server')
  if (!/^https:\/\/[^/?#@]+\/?$/.test(server)) {
    throw new KubeconfigError('the kubeconfig’s server must be https://host:port without a path')
  }
  if (cluster['insecure-skip-tls-verify'] === true) {
    throw new KubeconfigError('the kubeconfig skips TLS verification: give certificate-authority-data instead')
  }
  if (text(cluster['proxy-url']) !== null) throw new KubeconfigError('the kubeconfig’s proxy-url is not supported')
  return {
    server: server.replace(/\/$/, ''),
    serverName: text(cluster['tls-server-name']),
    ca: material(cluster, 'certificate-authority')
  }
}

function readUser(user: Fields | null): Pick<Kubeconfig, 'certificate' | 'key' | 'token'> {
  if (user === null) return { certificate: null, key: null, token: null }
  for (const field of ['exec', 'auth-provider', 'username', 'password', 'as']) {
    if (user[field] !== undefined && user[field] !== null) {
      throw new KubeconfigError(
        `the kubeconfig’s user has "${field}": only client certificates and tokens are supported`
      )
    }
  }
  const token = text(user['token'])
  const tokenFile = text(user['tokenFile'])
  return {
    certificate: material(user, 'client-certificate'),
    key: material(user, 'client-key'),
    token: tokenFile !== null ? { path: tokenFile } : token === null ? null : { text: token }
  }
}

type Fields = Readonly<Record<string, unknown>>

/** `x-data` (base64) wins over the path `x`, as in clientcmd. */
function material(fields: Fields, name: string): Material | null {
  const data = text(fields[`${name}-data`])
  if (data !== null) return { pem: Buffer.from(data, 'base64').toString('latin1') }
  const path = text(fields[name])
  return path === null ? null : { path }
}

function named(config: Fields, list: string): readonly Fields[] {
  const items = config[list]
  if (items === undefined || items === null) return []
  if (!Array.isArray(items)) throw new KubeconfigError(`the kubeconfig’s ${list} must be a list`)
  return items.map(item => record(item, `each of ${list}`))
}

/** Without a context (kubeadm's discovery form) the only entry is meant. */
function pick(items: readonly Fields[], name: string | null, kind: string): Fields | null {
  if (name !== null) return record(find(items, name, kind)[kind], `${kind} ${name}`)
  if (items.length > 1) throw new KubeconfigError(`the kubeconfig has several ${kind}s and no current-context`)
  return items[0] === undefined ? null : record(items[0][kind], kind)
}

function find(items: readonly Fields[], name: string, kind: string): Fields {
  const item = items.find(candidate => candidate['name'] === name)
  if (item === undefined) throw new KubeconfigError(`the kubeconfig has no ${kind} ${JSON.stringify(name)}`)
  return item
}

function record(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new KubeconfigError(`${what} must be a mapping`)
  }
  return value as Fields
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}
