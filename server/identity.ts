// The control plane's certificate: the operator's own, or one of our authority for every name the server is reached by.

import type { Config } from './config.ts'
import { Fault } from './core/fault.ts'
import { findText } from './data/files.ts'
import type { TlsOptions } from './http/deps.ts'
import { type Authority, isServerDue, type ServerNames } from './pki/authority.ts'

/** By what the server is reached, beside the URL that is configured. */
export interface Reached {
  readonly addresses: readonly string[]
  readonly hostname: string
}

/** Throws Fault not_found when a file that the configuration names is not there. */
export async function serverIdentity(
  { control }: Config,
  authority: Authority,
  own: Reached,
  now: Date
): Promise<TlsOptions> {
  if (control.certificate !== null && control.key !== null) {
    const cert = await readNamed(control.certificate, 'control.certificate')
    return { cert, key: await readNamed(control.key, 'control.key'), ca: authority.caPem }
  }
  return issue(authority, namesOf(control.url, own), now)
}

/** A new one when ours is to be renewed; null while it is good, and for the operator's own. */
export function renewedIdentity(
  { control }: Config,
  authority: Authority,
  own: Reached,
  current: TlsOptions,
  now: Date
): TlsOptions | null {
  const names = namesOf(control.url, own)
  if (control.certificate !== null || !isServerDue(current.cert, names, now)) return null
  return issue(authority, names, now)
}

function issue(authority: Authority, names: ServerNames, now: Date): TlsOptions {
  const { certificatePem, keyPem } = authority.issueServer(names, now)
  return { cert: certificatePem, key: keyPem, ca: authority.caPem }
}

function namesOf(url: string | null, { addresses, hostname }: Reached): ServerNames {
  const named = url === null ? [] : [new URL(url).hostname]
  return {
    ips: [...new Set([...addresses, '127.0.0.1', ...named.filter(isAddress)])],
    dns: [...new Set(['localhost', hostname, ...named.filter(name => !isAddress(name))])]
  }
}

function isAddress(name: string): boolean {
  return /^[0-9.]+$/.test(name)
}

async function readNamed(path: string, key: string): Promise<string> {
  const text = await findText(path)
  if (text === null) throw new Fault('not_found', `${key} names ${path}, which is not there`)
  return text
}
