// Puts the server together from its parts; nothing else knows all of them. What was opened is closed in reverse order, also
// when a later part cannot start: a server runs whole or not at all.

import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { AddressInfo } from 'node:net'
import type { Config } from './config.ts'
import type { NewEvent } from './contract/event.ts'
import { Fault } from './core/fault.ts'
import { adminToken, findText, openBootPrograms, prepareData, removeRunFile, writeRunFile } from './data/files.ts'
import type { Interface } from './dhcp/context.ts'
import { startDhcp } from './dhcp/server.ts'
import { readInterface } from './dhcp/socket.ts'
import { buildBootApp } from './http/boot-app.ts'
import { buildControlApp } from './http/control-app.ts'
import type { App, HttpDeps, TlsOptions } from './http/deps.ts'
import { openFiles } from './http/files.ts'
import { createLogins } from './http/logins.ts'
import { openCluster } from './kube/cluster.ts'
import type { Log } from './log.ts'
import { createMetrics } from './metrics.ts'
import { type Authority, openAuthority } from './pki/authority.ts'
import { digest, newSecret } from './provision/ids.ts'
import { failLateBoots } from './provision/late.ts'
import { nodeReady } from './provision/machines.ts'
import { openDatabase } from './store/database.ts'
import { pruneEvents } from './store/events.ts'
import { findLeaseHolder, listLeases, saveLease } from './store/leases.ts'
import type { Db } from './store/schema.ts'
import { createToken, findTokenByHash } from './store/tokens.ts'
import { startTftp } from './tftp/server.ts'
import { createBus, type Recorder, recordEvent } from './timeline.ts'
import { buildPage } from './web/build.ts'

export interface ServeOptions {
  readonly log: Log
  readonly now?: () => Date
  /** The lab's page as plain HTTP; loopback alone. */
  readonly page?: { readonly host: '127.0.0.1'; readonly port: number }
}

export interface Server {
  readonly urls: { readonly boot: string; readonly control: string; readonly page: string | null }
  /** The administrator's token of this host's own programs. */
  readonly adminToken: string
  /** Opens one session of the page as administrator. */
  readonly oneTimeCode: () => string
  readonly close: () => Promise<void>
}

/** Late boots are looked for this often: their lifetimes are minutes. */
const SWEEP_MS = 15_000

export async function startServer(config: Config, options: ServeOptions): Promise<Server> {
  const opened = new AsyncDisposableStack()
  try {
    const server = await start(config, options, opened)
    return { ...server, close: () => opened.disposeAsync() }
  } catch (error) {
    await opened.disposeAsync()
    throw error
  }
}

async function start(
  config: Config,
  options: ServeOptions,
  opened: AsyncDisposableStack
): Promise<Omit<Server, 'close'>> {
  const { log, now = () => new Date() } = options
  const own = readInterface(config.interfaces[0]!)
  await prepareData(config.data)
  const database = await openDatabase(config, { now, failed: error => log.warn('database.connection', { error }) })
  opened.defer(() => database.close())
  const { db } = database
  if (database.migrated.length > 0) log.info('database.migrated', { steps: database.migrated })
  const authority = await openAuthority(join(config.data, 'ca'), { now })
  const token = await openToken(db, config.data, now())
  const recorder: Recorder = { db, now, bus: createBus() }
  const metrics = createMetrics(db)
  const logins = createLogins(randomBytes, now)
  const cluster = await openCluster(config, {
    ...recorder,
    log,
    randomBytes,
    nodeReady: (node, version) => nodeReady(recorder, node, version)
  })
  opened.defer(() => cluster.close())
  const urls = {
    boot: (address: string) => config.boot.url ?? `http://${address}:${config.boot.port}`,
    control: (address: string) => config.control.url ?? `https://${address}:${config.control.port}`
  }
  const deps: HttpDeps = {
    ...recorder,
    log,
    authority,
    randomBytes,
    urls,
    artifacts: openFiles(config.data),
    cluster,
    count: metrics.counts,
    metrics,
    logins,
    page: await buildPage(),
    services: {
      tftp: config.tftp.port,
      dhcp: config.dhcp.mode === 'off' ? null : { server: config.dhcp.ports.server, client: config.dhcp.ports.client }
    }
  }

  await listen(await buildControlApp(deps, await identity(config, authority, own, now())), opened, {
    host: own.loopback ? own.address : '0.0.0.0',
    port: config.control.port,
    key: 'control.port'
  })
  const page = options.page === undefined ? null : await listenPage(deps, options.page, opened)
  await listen(await buildBootApp(deps), opened, { host: own.address, port: config.boot.port, key: 'boot.port' })
  await startWire(config, own, urls.boot(own.address), { recorder, log, metrics }, opened)
  sweep(recorder, log, opened)

  const running = { boot: urls.boot(own.address), control: urls.control(own.address), page }
  await writeRunFile(config.data, { pid: process.pid, ...running })
  opened.defer(() => removeRunFile(config.data))
  log.info('server.started', { ...running, dhcp: config.dhcp.mode, interface: own.name, dialect: database.dialect })
  return { urls: running, adminToken: token, oneTimeCode: () => logins.issueCode('admin') }
}

/** DHCP and TFTP last: nobody is sent to a plane that does not answer yet. */
async function startWire(
  config: Config,
  own: Interface,
  bootUrl: string,
  { recorder, log, metrics }: { recorder: Recorder; log: Log; metrics: ReturnType<typeof createMetrics> },
  opened: AsyncDisposableStack
): Promise<void> {
  const { db, now } = recorder
  const note = (event: NewEvent | Promise<NewEvent>): void => {
    Promise.resolve(event)
      .then(each => recordEvent(recorder, each))
      .catch((error: unknown) => log.error('timeline.failed', { error }))
  }
  const tftp = await startTftp(own.address, config.tftp.port, {
    now,
    read: openBootPrograms(config.data),
    failed: error => log.error('tftp.failed', { error }),
    done: ({ peer, name, outcome, bytes, durationMs }) => {
      metrics.counts.tftp(outcome)
      const complete = outcome === 'complete'
      const event = {
        type: complete ? 'tftp.sent' : 'tftp.failed',
        message: complete ? `${name} sent to ${peer} by TFTP` : `TFTP of ${name} to ${peer}: ${outcome}`,
        detail: { address: peer, name, outcome, bytes, durationMs }
      }
      note(findLeaseHolder(db, peer).then(mac => ({ ...event, mac })))
    }
  })
  opened.defer(() => tftp.close())
  if (config.dhcp.mode === 'off') return
  const { mode, ports, subnets } = config.dhcp
  const dhcp = await startDhcp(
    { mode, interface: own, ports, subnets, bootUrl },
    {
      now,
      log,
      count: metrics.counts.dhcp,
      leases: { list: () => listLeases(db), save: lease => saveLease(db, lease) },
      seen: note
    }
  )
  opened.defer(() => dhcp.close())
}

async function listenPage(
  deps: HttpDeps,
  { host, port }: { host: string; port: number },
  opened: AsyncDisposableStack
): Promise<string> {
  const app = await buildControlApp(deps, null)
  await listen(app, opened, { host, port, key: 'the page' })
  return `http://${host}:${(app.server.address() as AddressInfo).port}`
}

async function listen(
  app: App,
  opened: AsyncDisposableStack,
  { host, port, key }: { host: string; port: number; key: string }
): Promise<void> {
  opened.defer(() => app.close())
  try {
    await app.listen({ host, port })
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : null
    const where = `TCP port ${port} on ${host} (${key})`
    if (code === 'EADDRINUSE') {
      const remedy = `stop what listens there (ss -ltnp sport = :${port} names it), or set ${key}`
      throw new Fault('conflict', `${where} is taken: ${remedy}`, { cause })
    }
    if (code === 'EACCES') {
      throw new Fault('forbidden', `${where} may not be opened: start as root, or set ${key}`, { cause })
    }
    throw cause
  }
}

/** The control plane's certificate: the operator's, or one of our own authority for every name it is reached by. */
async function identity(config: Config, authority: Authority, own: Interface, now: Date): Promise<TlsOptions> {
  const { certificate, key, url } = config.control
  if (certificate !== null && key !== null) {
    const [cert, secret] = await Promise.all([
      readNamed(certificate, 'control.certificate'),
      readNamed(key, 'control.key')
    ])
    return { cert, key: secret, ca: authority.caPem }
  }
  const named = url === null ? [] : [new URL(url).hostname]
  const ips = [...new Set([own.address, '127.0.0.1', ...named.filter(isAddress)])]
  const dns = [...new Set(['localhost', hostname(), ...named.filter(name => !isAddress(name))])]
  const issued = authority.issueServer({ dns, ips }, now)
  return { cert: issued.certificatePem, key: issued.keyPem, ca: authority.caPem }
}

function isAddress(name: string): boolean {
  return /^[0-9.]+$/.test(name)
}

async function readNamed(path: string, key: string): Promise<string> {
  const text = await findText(path)
  if (text === null) throw new Fault('not_found', `${key} names ${path}, which is not there`)
  return text
}

/** The store keeps the digest; with a database that is new, the token of the data folder is entered again. */
async function openToken(db: Db, data: string, now: Date): Promise<string> {
  const { token } = await adminToken(data, () => newSecret(randomBytes))
  if ((await findTokenByHash(db, digest(token))) === null) {
    await createToken(db, `local-${digest(token).slice(0, 8)}`, 'admin', digest(token), now)
  }
  return token
}

function sweep(recorder: Recorder, log: Log, opened: AsyncDisposableStack): void {
  let working: Promise<unknown> = Promise.resolve()
  const timer = setInterval(() => {
    working = Promise.all([failLateBoots(recorder), pruneEvents(recorder.db)]).catch((error: unknown) =>
      log.error('sweep.failed', { error })
    )
  }, SWEEP_MS)
  opened.defer(async () => {
    clearInterval(timer)
    await working
  })
}
