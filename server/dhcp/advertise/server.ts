// Router advertisements for iPXE, which opens IPv6 beside DHCP and waits 16 seconds for one (measured: 18.7 s from
// power-on to the script without, 2.4 s with). They are sent each second for a while after an iPXE has asked for an
// address, and say nothing: router lifetime 0 means "I am no default router" (RFC 4861 §4.2), so no host takes any.
// Needs node:ffi and CAP_NET_RAW; without them boots only take longer, and the log says so once.

import type { Log } from '../../log.ts'
import type { Interface } from '../context.ts'
import { openAdvertisements } from './socket.ts'

export interface Advertiser {
  /** An iPXE is starting: advertise for a while. */
  readonly wake: () => void
  readonly close: () => void
}

const EVERY_MS = 1000
const TIMES = 10
/** An interface that has just come up may not send from its address for 1 to 2 s (RFC 4862 §5.4). */
const FAILURES = 4

/** For who wants none. */
export const silent: Advertiser = { wake() {}, close() {} }

/** The loopback has no firmware on it, and so no need. */
export function startAdvertiser(own: Interface, { log }: { readonly log: Log }): Advertiser {
  if (own.loopback) return silent
  const opened = own.scope === null ? { why: 'its number is unknown' } : openAdvertisements(own.scope)
  if ('why' in opened) {
    log.warn('dhcp.no-advertisements', { interface: own.name, why: opened.why, effect: 'iPXE waits 16 s longer' })
    return silent
  }
  let left = 0
  let failures = 0
  let failed = false
  let timer: NodeJS.Timeout | null = null

  function send(socket: { readonly send: () => boolean }): void {
    failures = socket.send() ? 0 : failures + 1
    if (failures === FAILURES && !failed) {
      failed = true
      log.warn('dhcp.no-advertisements', {
        interface: own.name,
        why: 'sending failed',
        effect: 'iPXE waits 16 s longer'
      })
    }
    left -= 1
    if (left <= 0) stop()
  }

  function stop(): void {
    if (timer !== null) clearInterval(timer)
    timer = null
  }

  return {
    wake() {
      left = TIMES
      if (timer !== null) return
      timer = setInterval(send, EVERY_MS, opened)
      send(opened)
    },
    close() {
      stop()
      opened.close()
    }
  }
}
