// One boot of one machine from the network: what it is answered, and who may read its config when.
//
//   offered ──first read──► delivered ──agent enrols──► confirmed
//      │ a newer boot          │ another address reads        │ any further read: alarm
//      ▼                       ▼                              ▼
//   superseded             quarantined                    quarantined reads answer 410
//
// Install-loop proof: an armed machine is handed an installer until one config was delivered; from then on
// the answer is the local disk, whatever the installer did.

import type { MachineState } from '../contract/machine.ts'

export type BootState = 'offered' | 'delivered' | 'confirmed' | 'superseded' | 'quarantined' | 'expired'

export interface Boot {
  readonly id: string // b-xxxxxxxx, shown everywhere; the nonce itself is kept as a hash only
  readonly machine: string
  readonly state: BootState
  readonly address: string // the client that was given the script
  readonly createdAt: Date
  readonly deliveredAt: Date | null
}

/** From the script to the first read of the config: firmware loads a kernel and an initrd in between. */
export const OFFER_LIFETIME_MS = 30 * 60_000
/** From the first read to the enrolment: an installation and a reboot lie between. */
export const DELIVERY_LIFETIME_MS = 2 * 60 * 60_000

export type BootAnswer = { kind: 'install' } | { kind: 'hold'; reason: string } | { kind: 'local'; reason: string }

/** What a machine that netboots is answered. `blocked` says why no config can be made for it now; null when one can. */
export function decideBoot(
  machine: { state: MachineState; armed: boolean },
  boot: Boot | null,
  blocked: string | null
): BootAnswer {
  switch (machine.state) {
    case 'discovered':
      return { kind: 'hold', reason: blocked ?? 'waiting for approval' }
    case 'approved':
      return armed(machine.armed, blocked)
    case 'installing':
      // The installer was handed out but never read its config (power lost in between): hand it out again.
      if (boot?.state === 'offered' || boot?.state === 'superseded') return armed(true, blocked)
      return { kind: 'local', reason: 'the installation was started' }
    case 'ignored':
    case 'retired':
    case 'enrolled':
    case 'ready':
    case 'maintenance':
    case 'failed':
      return { kind: 'local', reason: `the machine is ${machine.state}` }
  }
}

function armed(isArmed: boolean, blocked: string | null): BootAnswer {
  if (!isArmed) return { kind: 'local', reason: 'no installation is armed' }
  return blocked === null ? { kind: 'install' } : { kind: 'hold', reason: blocked }
}

export type Reading =
  | { kind: 'serve' }
  | { kind: 'gone'; reason: string } // 410, final
  | { kind: 'alarm'; reason: string } // 410, and the boot is quarantined with a warning on the timeline

/** Whether `address` may read this boot's config now. The same address may read again until the machine enrols. */
export function mayRead(boot: Boot, address: string, now: Date): Reading {
  switch (boot.state) {
    case 'superseded':
      return { kind: 'gone', reason: 'a newer boot of this machine has taken its place' }
    case 'expired':
      return { kind: 'gone', reason: 'this boot took too long' }
    case 'quarantined':
      return { kind: 'gone', reason: 'this boot is quarantined' }
    case 'confirmed':
      return { kind: 'alarm', reason: `config read again by ${address} after the machine had enrolled` }
    case 'offered':
    case 'delivered': {
      if (boot.address !== address) {
        return { kind: 'alarm', reason: `config asked for by ${address}, but this boot belongs to ${boot.address}` }
      }
      return isLate(boot, now) ? { kind: 'gone', reason: 'this boot took too long' } : { kind: 'serve' }
    }
  }
}

/**
 * Whether `address` may say that this boot's installer runs. Another address that knows the nonce is as much an alarm
 * as one that reads; once the machine has enrolled there is nothing left to protect, and nothing to report.
 */
export function mayReport(boot: Boot, address: string, now: Date): Reading {
  if (boot.state === 'confirmed') return { kind: 'gone', reason: 'this machine has enrolled already' }
  const reading = mayRead(boot, address, now)
  if (reading.kind !== 'alarm') return reading
  return { kind: 'alarm', reason: `${address} reported on this boot, but it belongs to ${boot.address}` }
}

/** Whether a boot has outlived the stage it is in: the machine then fails with the reason. */
export function isLate(boot: Boot, now: Date): boolean {
  const since = boot.deliveredAt ?? boot.createdAt
  const life = boot.deliveredAt === null ? OFFER_LIFETIME_MS : DELIVERY_LIFETIME_MS
  return now.getTime() - since.getTime() > life
}
