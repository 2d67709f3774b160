// The machine's own certificate: given once for a boot's enrolment certificate, renewed against itself.
// The key is made on the machine; the subject is ours to choose, never the CSR's.

import type { EnrolReply } from '../contract/agent.ts'
import type { Machine } from '../contract/machine.ts'
import { isLate } from '../core/boots.ts'
import { Fault } from '../core/fault.ts'
import { may } from '../core/lifecycle.ts'
import type { Issued } from '../pki/authority.ts'
import { type StoredBoot, findBoot, moveBoot } from '../store/boots.ts'
import { recordCertificate, revokeCertificates } from '../store/certificates.ts'
import { getMachine, restartReports } from '../store/machines.ts'
import { transact } from '../timeline.ts'
import { secondsSince } from './deliver.ts'
import type { Deps } from './deps.ts'
import { move } from './machines.ts'

/** A machine that was off for most of its certificate's life still renews in time. */
const RENEW_SHARE = 1 / 2

/** Exchanges a CSR for the machine certificate. Throws Fault gone, conflict or invalid (the CSR). */
export async function enrolMachine(deps: Deps, bootId: string, csr: string, address: string): Promise<EnrolReply> {
  const boot = await findBoot(deps.db, bootId)
  const machine = boot === null ? null : await getMachine(deps.db, boot.machine)
  const refusal = refuse(boot, machine, deps.now())
  if (boot === null || machine === null || refusal !== null) {
    deps.count.enrolment('refused')
    throw new Fault('gone', refusal ?? 'this boot is not known; boot the machine from the network again')
  }
  const issued = deps.authority.issueMachine(machine.id, csr, deps.now())
  const enrolled = await transact(deps, async (db, add) => {
    const confirmed = await moveBoot(db, boot.id, ['delivered', 'confirmed'], 'confirmed', deps.now())
    if (confirmed === null) throw new Fault('conflict', 'this boot changed meanwhile; ask again')
    const moved = await move(deps, db, machine, 'enrol', { wipe: false, address })
    // Whatever key an earlier installation of this machine had, or a reply that got lost carried, is over.
    await revokeCertificates(db, { machine: machine.id, kind: 'machine' }, deps.now())
    await record(deps, db, issued, machine.id, boot.id)
    // Before its first report: that one ends the certificate with which it could come here again.
    await restartReports(db, machine.id)
    const named = { machine: machine.id, boot: boot.id }
    await add({
      type: 'machine.enrolled',
      ...named,
      message: `its agent enrolled from ${address}`,
      detail: { address }
    })
    await add({ type: 'certificate.issued', ...named, message: 'machine certificate issued', detail: shown(issued) })
    return moved
  })
  deps.count.certificate('machine')
  deps.count.enrolment('enrolled')
  if (boot.state === 'delivered' && boot.deliveredAt !== null) {
    deps.count.stage('install', secondsSince(boot.deliveredAt, deps.now()))
  }
  return reply(deps, enrolled, issued)
}

/** A fresh certificate for a fresh key, asked for with the one that is about to end. */
export async function renewMachine(deps: Deps, machine: Machine, csr: string): Promise<EnrolReply> {
  const issued = deps.authority.issueMachine(machine.id, csr, deps.now())
  await transact(deps, async (db, add) => {
    await record(deps, db, issued, machine.id, null)
    const message = 'machine certificate renewed'
    await add({ type: 'certificate.issued', machine: machine.id, message, detail: shown(issued) })
  })
  deps.count.certificate('machine')
  deps.count.enrolment('renewed')
  return reply(deps, machine, issued)
}

/**
 * A confirmed boot may enrol again: the agent may have been killed before it kept the reply. Its first report proves
 * that it has kept one, and ends the enrolment certificate (agents.ts).
 */
function refuse(boot: StoredBoot | null, machine: Machine | null, now: Date): string | null {
  if (boot === null || machine === null) return 'this boot is not known; boot the machine from the network again'
  if (boot.state !== 'delivered' && boot.state !== 'confirmed') return `this boot is ${boot.state}`
  if (boot.state === 'delivered' && isLate(boot, now)) return 'this boot took too long to enrol; install it again'
  return may(machine.state, 'enrol') ? null : `the machine is ${machine.state}`
}

async function record(deps: Deps, db: Deps['db'], issued: Issued, machine: string, boot: string | null): Promise<void> {
  const { serial, expiresAt } = issued
  await recordCertificate(db, { serial, kind: 'machine', machine, boot, expiresAt }, deps.now())
}

function shown({ serial, expiresAt }: Issued) {
  return { kind: 'machine', serial, expiresAt: expiresAt.toISOString() }
}

function reply({ authority, now }: Deps, { id, name }: Machine, issued: Issued): EnrolReply {
  const lifeSeconds = (issued.expiresAt.getTime() - now().getTime()) / 1000
  return {
    certificate: issued.certificatePem,
    ca: authority.caPem,
    machine: { id, name: name ?? id },
    renewBeforeSeconds: Math.floor(lifeSeconds * RENEW_SHARE)
  }
}
