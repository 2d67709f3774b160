// One raw ICMPv6 socket, which Node's own modules do not offer.

import { int32, openLibc } from '../../native/libc.ts'

/** Type 134, code 0, checksum by the kernel, hop limit 64, no flags, lifetime 0, timers 0 (RFC 4861 §4.2). */
const advertisement = Buffer.from('86000000 40000000 00000000 00000000'.replaceAll(' ', ''), 'hex')

const AF_INET6 = 10
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0x80000
const IPPROTO_ICMPV6 = 58
const IPPROTO_IPV6 = 41
const IPV6_MULTICAST_IF = 17
const IPV6_MULTICAST_HOPS = 18

export interface Advertisements {
  /** Sends one to all nodes; false when the system refused. */
  readonly send: () => boolean
  readonly close: () => void
}

/** A socket that advertises on the interface of that index, or why there is none. */
export function openAdvertisements(scope: number): Advertisements | { readonly why: string } {
  const libc = openLibc()
  if (libc === null) return { why: 'this Node has no node:ffi (26 has)' }
  const handle = Number(libc.socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6))
  if (handle < 0) return { why: 'the right CAP_NET_RAW is missing' }
  const set = (option: number, value: number): boolean =>
    Number(libc.setsockopt(handle, IPPROTO_IPV6, option, int32(value), 4)) === 0
  // A hop limit of 255 proves that the sender is on this link; others are dropped (RFC 4861 §6.1.2).
  if (!set(IPV6_MULTICAST_HOPS, 255) || !set(IPV6_MULTICAST_IF, scope)) {
    libc.close(handle)
    return { why: 'the system has no IPv6 there' }
  }
  const to = allNodes(scope)
  return {
    send: () => Number(libc.sendto(handle, advertisement, BigInt(advertisement.length), 0, to, to.length)) >= 0,
    close: () => void libc.close(handle)
  }
}

/** sockaddr_in6 of ff02::1 on that interface. */
function allNodes(scope: number): Buffer {
  const address = Buffer.alloc(28)
  address.writeUInt16LE(AF_INET6, 0)
  address[8] = 0xff
  address[9] = 0x02
  address[23] = 1
  address.writeUInt32LE(scope, 24)
  return address
}
