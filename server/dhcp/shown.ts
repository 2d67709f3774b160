// What a packet shows of its machine beside the hardware address: what documents may know it by.

import { clientIdKey, portKey, uuidKey } from '../core/identifiers.ts'
import { uuidOf } from './codec/nested.ts'
import type { Packet } from './codec/packet.ts'
import { originOf } from './codec/relay.ts'

/** Strongest first; what a client can write itself is as weak as its hardware address, a relay's word is the last. */
export function shownBy(request: Packet): string[] {
  const { clientId, clientUuid } = request.options
  const { port } = originOf(request)
  const uuid = uuidKey(uuidOf(clientUuid))
  return [
    ...(clientId === undefined ? [] : [clientIdKey(clientId)]),
    ...(uuid === null ? [] : [uuid]),
    ...(port === null ? [] : [portKey(port)])
  ]
}
