// A config is read: once, by the boot that asked, with a certificate issued for that boot alone.
// The same address may read again until its machine enrols (a download breaks); a second address, or a read after
// the enrolment, is an alarm. Never throws anything away silently: what was refused is on the timeline too.

import { renderConfig } from '../boot/config.ts'
import type { Machine } from '../contract/machine.ts'
import { type Boot, mayRead } from '../core/boots.ts'
import { Fault } from '../core/fault.ts'
import { findBootByNonceHash, moveBoot } from '../store/boots.ts'
import { recordCertificate, revokeCertificates } from '../store/certificates.ts'
import { findDocument } from '../store/documents.ts'
import { getMachine } from '../store/machines.ts'
import { transact } from '../timeline.ts'
import type { Caller } from './boot.ts'
import type { Deps } from './deps.ts'
import { digest } from './ids.ts'
import { failMachine } from './machines.ts'

export type ConfigKind = 'ignition' | 'kickstart'

export interface Config {
  readonly contentType: string
  readonly text: string
}

/** Throws Fault not_found (no such nonce), gone (final), unavailable (not yet: retry). */
export async function deliverConfig(deps: Deps, nonce: string, kind: ConfigKind, caller: Caller): Promise<Config> {
  const boot = await readable(deps, nonce, kind, caller.address)
  const machine = await getMachine(deps.db, boot.machine)
  const config = await render(deps, boot, machine, { nonce, kind, ...caller })
  await transact(deps, async (db, add) => {
    const moved = await moveBoot(db, boot.id, ['offered', 'delivered'], 'delivered', deps.now())
    if (moved === null) throw new Fault('unavailable', 'this boot changed meanwhile; ask again')
    const { serial, expiresAt } = config.certificate
    await recordCertificate(db, { serial, kind: 'boot', machine: machine.id, boot: boot.id, expiresAt }, deps.now())
    const named = { machine: machine.id, boot: boot.id }
    const message = `${kind} config delivered to ${caller.address}`
    await add({ type: 'config.delivered', ...named, message, detail: { address: caller.address, kind } })
    await add({
      type: 'certificate.issued',
      ...named,
      message: 'enrolment certificate issued for this boot',
      detail: { kind: 'boot', serial, expiresAt: expiresAt.toISOString() }
    })
  })
  deps.count.certificate('boot')
  deps.count.config(kind, 'delivered')
  if (boot.deliveredAt === null) deps.count.stage('load', secondsSince(boot.createdAt, deps.now()))
  return config
}

export function secondsSince(start: Date, now: Date): number {
  return (now.getTime() - start.getTime()) / 1000
}

/** HEAD: says whether a read would be served, and changes nothing. */
export async function probeConfig({ db, now }: Deps, nonce: string, kind: ConfigKind, address: string): Promise<void> {
  const boot = await findBootByNonceHash(db, digest(nonce))
  if (boot === null || boot.kind !== kind) throw unknownBoot()
  const reading = mayRead(boot, address, now())
  if (reading.kind !== 'serve') throw new Fault('gone', 'this config would not be served')
}

async function readable(deps: Deps, nonce: string, kind: ConfigKind, address: string): Promise<Boot> {
  const boot = await findBootByNonceHash(deps.db, digest(nonce))
  if (boot === null || boot.kind !== kind) throw unknownBoot()
  const reading = mayRead(boot, address, deps.now())
  if (reading.kind === 'serve') return boot
  deps.count.config(kind, reading.kind)
  if (reading.kind === 'gone') throw new Fault('gone', reading.reason)
  await raiseAlarm(deps, boot, address, reading.reason)
  // Whoever this is learns nothing about whose boot it was.
  throw new Fault('gone', 'this config is not served any more; its operator has been told')
}

export function unknownBoot(): Fault {
  return new Fault('not_found', 'no such boot; boot the machine from the network again')
}

/**
 * Somebody else knows this boot's address: nothing more is served, its certificates end, its machine must try again.
 */
export async function raiseAlarm(deps: Deps, boot: Boot, address: string, reason: string): Promise<void> {
  await transact(deps, async (db, add) => {
    await moveBoot(db, boot.id, ['offered', 'delivered', 'confirmed'], 'quarantined', deps.now())
    await revokeCertificates(db, { boot: boot.id, kind: 'boot' }, deps.now())
    const named = { machine: boot.machine, boot: boot.id }
    await add({
      type: 'config.alarm',
      ...named,
      level: 'warning',
      message: `${reason}; the boot is quarantined`,
      detail: { address }
    })
    const machine = await getMachine(db, boot.machine)
    // An enrolled machine has a key of its own that no config carried: it goes on.
    if (machine.state !== 'installing') return
    await failMachine(deps, db, machine, `${reason}; look who that is, then slipway install ${machine.id}`, add)
  })
}

async function render(
  deps: Deps,
  boot: Boot,
  machine: Machine,
  { nonce, kind, localAddress }: Caller & { readonly nonce: string; readonly kind: ConfigKind }
) {
  const profile = machine.profile === null ? null : await findDocument(deps.db, 'Profile', machine.profile)
  const agent = machine.hardware.arch === null ? null : await deps.artifacts.findAgent(machine.hardware.arch)
  if (profile === null || agent === null) {
    deps.count.config(kind, 'unready')
    const lacks = profile === null ? 'profile' : 'agent program'
    throw new Fault('unavailable', `the machine's ${lacks} is missing on the server; the config waits for it`)
  }
  const { keyPem, ...certificate } = deps.authority.issueBoot({ id: boot.id, machine: machine.id }, deps.now())
  const bootPlane = deps.urls.boot(localAddress)
  const { contentType, text } = renderConfig(machine, profile, {
    caPem: deps.authority.caPem,
    certificatePem: certificate.certificatePem,
    keyPem,
    agentUrl: `${bootPlane}/agent/${machine.hardware.arch}`,
    agentSha256: agent.sha256,
    agentSize: agent.size,
    serverUrl: deps.urls.control(localAddress),
    bootedUrl: `${bootPlane}/b/${nonce}/booted`,
    assetsUrl: `${bootPlane}/assets`
  })
  return { contentType, text, certificate }
}
