// Puts the server together from its parts; nothing else knows all of them. What was opened is closed in reverse order,
// also when a later part cannot start: a server runs whole or not at all.

import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { CONTROL, type Passed, socketName } from './activation.ts'
import type { Config } from './config/schema.ts'
import { openGuard, type Refusal } from './data/assets/guard/files.ts'
import { readManifest } from './data/assets/files.ts'
import { openDigests } from './data/digest/files.ts'
import { adminToken, prepareData, removeRunFile, writeRunFile } from './data/files.ts'
import { readInterface } from './dhcp/socket.ts'
import { replaceCertificate } from './http/app.ts'
import { buildBootApp } from './http/boot-app.ts'
import { buildControlApp } from './http/control-app.ts'
import type { HttpDeps } from './http/deps.ts'
import { createDownloads } from './http/download/serve.ts'
import { openSender } from './http/download/sendfile/client.ts'
import { openFiles, shareFiles } from './http/files.ts'
import { createLogins } from './http/logins.ts'
import { firmwareIdentity, renewedIdentity, serverIdentity } from './identity.ts'
import { listen } from './listen.ts'
import { openCluster } from './kube/cluster.ts'
import type { Log } from './log.ts'
import { createMetrics } from './metrics.ts'
import { openAuthority } from './pki/authority.ts'
import { listenPage, listenSecure } from './planes.ts'
import { digest, newSecret } from './provision/ids.ts'
import { type Rights, sameUser } from './privileges/run.ts'
import { failLateBoots } from './provision/late.ts'
import { nodeReady } from './provision/machines.ts'
import { openDatabase } from './store/database.ts'
import { pruneEvents } from './store/events.ts'
import type { Db } from './store/schema.ts'
import { createToken, findTokenByHash } from './store/tokens.ts'
import { createBus, recordEvent, type Recorder } from './timeline.ts'
import { buildPage } from './web/build.ts'
import { noWire, startWire, type Wire } from './wire.ts'

export interface ServeOptions {
  readonly log: Log
  readonly now?: () => Date
  /** Sockets that the service manager opened (activation.ts). */
  readonly sockets?: Passed
  /** How low ports are opened, and given up afterwards; as whoever started it, when absent. */
  readonly rights?: Rights
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
  const { log, now = () => new Date(), rights = sameUser, sockets = new Map() } = options
  const interfaces = config.interfaces.map(readInterface)
  const own = interfaces[0]!
  await prepareData(config.data)
  await readManifest(config.data) // one that is broken stops the start
  const database = await openDatabase(config, { now, failed: error => log.warn('database.connection', { error }) })
  opened.defer(() => database.close())
  const { db, relaxed } = database
  if (database.migrated.length > 0) log.info('database.migrated', { steps: database.migrated })
  const authority = await openAuthority(join(config.data, 'ca'), { now })
  const token = await openToken(db, config.data, now())
  const recorder: Recorder = { db, now, bus: createBus() }
  const logins = createLogins(randomBytes, now)
  const ready = (node: string, version: string | null) => nodeReady(recorder, node, version)
  const cluster = await openCluster(config, { ...recorder, log, randomBytes, nodeReady: ready })
  opened.defer(() => cluster.close())
  let wire: Wire = noWire
  const metrics = createMetrics(
    db,
    () => cluster.nodes(),
    () => wire
  )
  const urls = {
    boot: (address: string) => config.boot.url ?? `http://${address}:${config.boot.port}`,
    secureBoot: (address: string) =>
      config.boot.tls === null ? null : (config.boot.tls.url ?? `https://${address}:${config.boot.tls.port}`),
    control: (address: string) => config.control.url ?? `https://${address}:${config.control.port}`
  }
  const reached = { addresses: interfaces.map(({ address }) => address), hostname: hostname() }
  const firmware = await firmwareIdentity(config, reached, now)
  const digestOf = openDigests()
  const guard = openGuard(config.data, { digestOf, refused: refusal => tellRefused(recorder, log, refusal) })
  const sender = openSender(log)
  if (sender === null) log.info('http.sendfile-off', { why: 'this Node has no node:ffi (26 has)' })
  opened.defer(() => sender?.close())
  const deps: HttpDeps = {
    ...recorder,
    log,
    authority,
    randomBytes,
    urls,
    artifacts: shareFiles(openFiles(config.data, guard, digestOf), now),
    downloads: createDownloads({ log, now, sender, count: metrics.counts.download }),
    cluster,
    documentsChanged: () => wire.refresh(),
    network: { others: () => wire.others(), notices: () => wire.notices() },
    count: metrics.counts,
    metrics,
    logins,
    page: await buildPage(),
    firmwareCa: firmware?.caPem ?? null,
    loader: config.boot.loader,
    services: {
      tftp: config.tftp.port,
      dhcp: config.dhcp.mode === 'off' ? null : { server: config.dhcp.ports.server, client: config.dhcp.ports.client }
    }
  }

  let tls = await rights.raised(() => serverIdentity(config, authority, reached, now()))
  const control = await buildControlApp(deps, tls)
  const host = interfaces.every(({ loopback }) => loopback) ? own.address : '0.0.0.0'
  const handle = sockets.get(CONTROL) ?? null
  await rights.raised(() => listen(control, opened, { host, port: config.control.port, key: 'control.port', handle }))
  const renew = (): void => {
    const renewed = renewedIdentity(config, authority, reached, tls, now())
    if (renewed === null) return
    tls = renewed
    replaceCertificate(control, tls)
    log.info('certificate.renewed', { plane: 'control' })
  }
  const page = options.page === undefined ? null : await listenPage(deps, options.page, opened)
  for (const { name, address } of interfaces) {
    const app = await buildBootApp(deps)
    const handle = sockets.get(socketName('boot', name)) ?? null
    await rights.raised(() => listen(app, opened, { host: address, port: config.boot.port, key: 'boot.port', handle }))
  }
  const renewals = [renew]
  if (firmware !== null) {
    renewals.push(await rights.raised(() => listenSecure(deps, firmware, config, interfaces, opened)))
  }
  const networks = interfaces.map(each => ({
    interface: each,
    places: { bootUrl: urls.boot(each.address), secureUrl: urls.secureBoot(each.address) }
  }))
  const elapsed = options.now === undefined ? () => performance.now() : null
  const wired = { elapsed, recorder, provisioning: deps, relaxed, log, metrics }
  wire = await rights.raised(() => startWire(config, networks, sockets, wired, opened))
  rights.drop()
  await pruneEvents(db) // while it runs, each event written prunes
  sweep(recorder, renewals, log, opened)

  const running = { boot: urls.boot(own.address), control: urls.control(own.address), page }
  await writeRunFile(config.data, { pid: process.pid, ...running })
  opened.defer(() => removeRunFile(config.data))
  const { interfaces: names, dhcp } = config
  log.info('server.started', { ...running, dhcp: dhcp.mode, interfaces: names, dialect: database.dialect })
  return { urls: running, adminToken: token, oneTimeCode: () => logins.issueCode('admin') }
}

/** A file that was changed after its import is somebody's to look at: in the log, and on everybody's timeline. */
function tellRefused(recorder: Recorder, log: Log, refusal: Refusal): void {
  if (refusal.kind === 'manifest') return log.error('asset.record-broken', { error: refusal.error })
  const { path, recorded, found } = refusal
  log.error('asset.changed', { path, recorded, found })
  const message = `${path} is not what was imported, and is not served: import it again`
  recordEvent(recorder, { type: 'asset.changed', level: 'warning', message, detail: { path, recorded, found } }).catch(
    (error: unknown) => log.error('timeline.failed', { error, type: 'asset.changed' })
  )
}

/** The store keeps the digest; with a database that is new, the token of the data folder is entered again. */
async function openToken(db: Db, data: string, now: Date): Promise<string> {
  const { token } = await adminToken(data, () => newSecret(randomBytes))
  if ((await findTokenByHash(db, digest(token))) === null) {
    await createToken(db, `local-${digest(token).slice(0, 8)}`, 'admin', digest(token), now)
  }
  return token
}

function sweep(recorder: Recorder, renewals: ReadonlyArray<() => void>, log: Log, opened: AsyncDisposableStack): void {
  let working: Promise<unknown> = Promise.resolve()
  const timer = setInterval(() => {
    for (const renew of renewals) renew()
    working = failLateBoots(recorder).catch((error: unknown) => log.error('sweep.failed', { error }))
  }, SWEEP_MS)
  opened.defer(async () => {
    clearInterval(timer)
    await working
  })
}
