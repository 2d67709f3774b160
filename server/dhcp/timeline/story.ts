// What the timeline says of a DHCP packet: only of boot clients, since everything else on a network asks for addresses
// too. Every name that came from the wire is one of ours by then, or a number.

import type { NewEvent } from '../../contract/event.ts'
import type { Decision } from '../engine.ts'
import { type BootFile, describeFirmware, findFirmware } from '../firmware/firmware.ts'
import { uuidOf } from '../codec/nested.ts'
import { messageName, type Packet } from '../codec/packet.ts'

/** The events of one packet and its answer; none when it is of no interest to a machine's story. */
export function tell(request: Packet, decision: Decision, server: string): NewEvent[] {
  const firmware = findFirmware(request)
  if (firmware === null) return []
  const { mac } = request
  const who = describeFirmware(firmware)
  const detail = { server, kind: firmware.kind, arch: firmware.arch, uuid: uuidOf(request.options.clientUuid) }
  const type = messageName(request)
  const asked: NewEvent[] =
    type === 'discover' ? [{ type: 'dhcp.discover', mac, message: `${who} looks for a DHCP server`, detail }] : []
  if (decision.kind === 'silence') {
    if (!decision.warn) return [...asked, ...elsewhere(request, server, who, detail)]
    const message = `${who} was not answered: ${decision.reason}`
    return [...asked, { type: 'dhcp.ignored', mac, level: 'warning', message, detail }]
  }
  const address = decision.packet.yourAddress
  const given = address === '0.0.0.0' ? [] : [address]
  const boot = decision.boot === null ? [] : [show(decision.boot)]
  const answer = [...given, ...boot].join(', ')
  const answered = { ...detail, ...(given.length > 0 ? { address } : {}), ...fileOf(decision.boot) }
  const level = decision.boot?.by === 'none' ? ({ level: 'warning' } as const) : {}
  switch (decision.type) {
    case 'offer':
      return [
        ...asked,
        { type: 'dhcp.offer', mac, ...level, message: `${who} was offered ${answer}`, detail: answered }
      ]
    case 'ack':
      return [{ type: 'dhcp.ack', mac, ...level, message: `${who} was given ${answer}`, detail: answered }]
    case 'nak':
      return [{ type: 'dhcp.nak', mac, level: 'warning', message: `${who} was refused: ${decision.reason}`, detail }]
  }
}

/** Beside another server: its REQUEST goes to all (RFC 2131 §3.1), and is the one place to learn the address it has. */
function elsewhere(request: Packet, server: string, who: string, detail: NewEvent['detail']): NewEvent[] {
  const { serverId: from, requestedAddress: address } = request.options
  if (messageName(request) !== 'request' || from === undefined || from === server || address === undefined) return []
  const message = `${who} takes ${address} from DHCP server ${from}`
  return [{ type: 'dhcp.request', mac: request.mac, message, detail: { ...detail, address, from } }]
}

function show(boot: BootFile): string {
  switch (boot.by) {
    case 'tftp':
      return `${boot.file} by TFTP`
    case 'http':
      return `${boot.file} by HTTP`
    case 'script':
      return 'the boot script'
    case 'none':
      return `no boot file (${boot.reason})`
  }
}

function fileOf(boot: BootFile | null): { file?: string } {
  return boot === null || boot.by === 'none' ? {} : { file: boot.file }
}

/** A rack of a thousand machines that power on together tells six thousand lines; a flood may not fill the disk. */
const EVENTS_MAX = 10_000
const EVENTS_WINDOW_MS = 60_000

interface Listener {
  readonly now: () => Date
  readonly seen: (event: NewEvent) => void
  readonly count: (type: string, result: string) => void
}

/** Passes events on up to a number a minute; what is dropped is counted. */
export function limitEvents({ now, seen, count }: Listener): (event: NewEvent) => void {
  let since = 0
  let told = 0
  return event => {
    const at = now().getTime()
    if (at - since >= EVENTS_WINDOW_MS) {
      since = at
      told = 0
    }
    told += 1
    if (told <= EVENTS_MAX) seen(event)
    else count('event', 'dropped')
  }
}
