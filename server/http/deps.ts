// What the HTTP servers need beside what provisioning needs. serve.ts supplies it; tests supply their own.

import type { FastifyInstance } from 'fastify'
import type { DhcpServerView, Notice } from '../contract/network.ts'
import type { Loader } from '../contract/document.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Deps } from '../provision/deps.ts'
import type { Downloads } from './download/serve.ts'
import type { ConnectionLimits } from './connections.ts'
import type { Files } from './files.ts'
import type { Logins } from './logins.ts'
import type { Page } from '../web/build.ts'

export interface HttpDeps extends Deps {
  readonly log: Log
  readonly artifacts: Files
  readonly downloads: Downloads
  readonly metrics: Metrics
  readonly logins: Logins
  readonly page: Page
  /** The certificate that firmware must have to trust the boot plane by HTTPS; null where that is off. */
  readonly firmwareCa: string | null
  /** What DHCP has noticed beside its own work. */
  readonly network: { readonly others: () => DhcpServerView[]; readonly notices: () => Notice[] }
  /** What UEFI machines are led by, unless their Machine document says otherwise. */
  readonly loader: Loader
  /** Where the services that are not HTTP listen; null for one that is off. Said to `slipway doctor`. */
  readonly services: { readonly tftp: number | null; readonly dhcp: { server: number; client: number } | null }
}

/** Bounds of one listener; the defaults are in app.ts, tests pass shorter ones. */
export interface Limits extends ConnectionLimits {
  readonly headersTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly checkEveryMs: number
  readonly connectionsMax: number
}

/** A plane's own identity, and the authority whose machine certificates it accepts; null: it asks for none. */
export interface TlsOptions {
  readonly key: string
  readonly cert: string
  readonly ca: string | null
}

/** Plain HTTP and HTTPS alike: fastify's types tell them apart, our routes do not. */
export type App = FastifyInstance
