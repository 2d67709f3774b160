// Sockets that are bound to an interface (SO_BINDTODEVICE): they hear that one alone, and what they send leaves by it.
// And the address of an interface without a carrier, such as a bridge before its first machine: Node leaves it out.

import { toNumber } from '../../core/ipv4.ts'
import { int32, openLibc, SOL_SOCKET } from '../../native/libc.ts'

const AF_INET = 2
const SOCK_DGRAM = 2
const SOCK_NONBLOCK = 0x800
const SOCK_CLOEXEC = 0x80000
const SO_REUSEADDR = 2
const SO_BROADCAST = 6
const SO_BINDTODEVICE = 25
const SIOCGIFFLAGS = 0x8913n
const SIOCGIFADDR = 0x8915n
const SIOCGIFNETMASK = 0x891bn
const IFF_UP = 1
const IFF_LOOPBACK = 8

export interface Place {
  readonly device: string
  readonly address: string
  readonly port: number
}

/** Null when sockets can be bound to this interface, else why they cannot. */
export function whyNotBound(device: string): string | null {
  const libc = openLibc()
  if (libc === null) return 'this Node has no node:ffi (26 has)'
  const handle = openOn(device)
  if (handle === null) return 'the system refused (SO_BINDTODEVICE)'
  libc.close(handle)
  return null
}

/** A UDP socket's handle, for dgram's bind({fd}), which closes it; null when the system refuses that place. */
export function openBound({ device, address, port }: Place, sharing: 'shared' | 'alone'): number | null {
  const libc = openLibc()
  const handle = openOn(device)
  if (libc === null || handle === null) return null
  const name = Buffer.alloc(16)
  name.writeUInt16LE(AF_INET, 0)
  name.writeUInt16BE(port, 2)
  name.writeUInt32BE(toNumber(address), 4)
  const shared = sharing === 'alone' || libc.setsockopt(handle, SOL_SOCKET, SO_REUSEADDR, int32(1), 4) === 0
  const broadcast = libc.setsockopt(handle, SOL_SOCKET, SO_BROADCAST, int32(1), 4) === 0
  if (shared && broadcast && libc.bind(handle, name, name.length) === 0) return handle
  libc.close(handle)
  return null
}

function openOn(device: string): number | null {
  const libc = openLibc()
  if (libc === null) return null
  const handle = Number(libc.socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0))
  if (handle < 0) return null
  const name = Buffer.from(`${device}\0`)
  if (libc.setsockopt(handle, SOL_SOCKET, SO_BINDTODEVICE, name, name.length) === 0) return handle
  libc.close(handle)
  return null
}

export interface Known {
  readonly up: boolean
  readonly loopback: boolean
  /** Its first IPv4 address; null when it has none. */
  readonly address: string | null
  readonly netmask: string | null
}

/** What the kernel knows of an interface, with a carrier or without; null when it is none, or cannot be asked. */
export function askInterface(name: string): Known | null {
  const libc = openLibc()
  // struct ifreq: the name with its end, then the answer.
  if (libc === null || Buffer.byteLength(name) > 15) return null
  const handle = Number(libc.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0))
  if (handle < 0) return null
  const ask = (what: bigint): Buffer | null => {
    const request = Buffer.alloc(40)
    request.write(name)
    return libc.ioctl(handle, what, request) === 0 ? request.subarray(16) : null
  }
  const [flags, address, netmask] = [SIOCGIFFLAGS, SIOCGIFADDR, SIOCGIFNETMASK].map(ask)
  libc.close(handle)
  if (!flags) return null
  const bits = flags.readUInt16LE()
  return {
    up: (bits & IFF_UP) !== 0,
    loopback: (bits & IFF_LOOPBACK) !== 0,
    address: address ? addressIn(address) : null,
    netmask: netmask ? addressIn(netmask) : null
  }
}

/** In a sockaddr_in: family, port, address. */
function addressIn(name: Buffer): string {
  return name.subarray(4, 8).join('.')
}
