// Certificates of our own. The control plane's: the operator's, or one of our authority for every name the server is
// reached by. The boot plane's by HTTPS: one of the authority that firmware trusts.

import { join } from 'node:path'
import type { Config } from './config/schema.ts'
import { Fault } from './core/fault.ts'
import { findText } from './data/files.ts'
import type { TlsOptions } from './http/deps.ts'
import { type Authority, isServerDue, type ServerNames } from './pki/authority.ts'
import { openFirmwareAuthority } from './pki/firmware/authority.ts'

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

export interface FirmwareIdentity {
  readonly caPem: string
  readonly tls: TlsOptions
  /** A new one when that is to be renewed; null while it is good. */
  readonly renewed: (current: TlsOptions, now: Date) => TlsOptions | null
}

/** Null where the boot plane has no HTTPS. */
export async function firmwareIdentity(
  { boot, data }: Config,
  own: Reached,
  now: () => Date
): Promise<FirmwareIdentity | null> {
  if (boot.tls === null) return null
  const names = namesOf(boot.tls.url, own)
  const { caPem, issueServer } = await openFirmwareAuthority(join(data, 'ca'), { now })
  const fresh = (at: Date): TlsOptions => {
    const { certificatePem, keyPem } = issueServer(names, at)
    return { cert: certificatePem, key: keyPem, ca: null }
  }
  const renewed = (current: TlsOptions, at: Date): TlsOptions | null =>
    isServerDue(current.cert, names, at) ? fresh(at) : null
  return { caPem, tls: fresh(now()), renewed }
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
