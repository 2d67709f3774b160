// Who shows this certificate, and may they go on? TLS proved that we signed it; the store knows what became of it
// since. Asked at every request, so that a machine that was retired is refused on a connection that is already open.

import type { MachineState } from '../contract/machine.ts'
import type { FaultCode } from './fault.ts'

/** What the store knows of the certificate, found by its serial number. */
export interface KnownCertificate {
  readonly kind: 'server' | 'boot' | 'machine'
  readonly machine: string | null
  readonly boot: string | null
  readonly expiresAt: Date
  readonly revokedAt: Date | null
}

export type Peer =
  | { readonly kind: 'boot'; readonly boot: string }
  | { readonly kind: 'machine'; readonly machine: string }
  | { readonly kind: 'refused'; readonly code: FaultCode; readonly reason: string }

/** `certificate` is null when TLS did not vouch for one, or the store does not know its serial number. */
export function identifyPeer(certificate: KnownCertificate | null, wanted: 'boot' | 'machine', now: Date): Peer {
  if (certificate === null) return refused('unauthorized', 'show a certificate of this server’s authority')
  const { kind, machine, boot } = certificate
  if (certificate.revokedAt !== null) {
    return refused('forbidden', 'this certificate is revoked; install the machine again')
  }
  if (certificate.expiresAt <= now) return refused('unauthorized', 'this certificate has expired')
  if (kind !== wanted) {
    return refused('forbidden', `this needs the certificate of a ${wanted}; yours is that of a ${kind}`)
  }
  if (kind === 'boot' && boot !== null) return { kind, boot }
  if (kind === 'machine' && machine !== null) return { kind, machine }
  return refused('forbidden', `this certificate names no ${wanted}`)
}

/** Why a machine in this state is refused, whatever its certificate says; null when it is not. */
export function refuseMachine(state: MachineState): string | null {
  return state === 'retired' ? 'this machine is retired; approve and install it to take it in again' : null
}

function refused(code: FaultCode, reason: string): Peer {
  return { kind: 'refused', code, reason }
}
