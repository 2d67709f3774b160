// One raw ICMPv6 socket through node:ffi, which Node 26 has and older ones do not: hence the import when it is needed.
// The only file that knows of that experimental API.

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
export async function openAdvertisements(scope: number): Promise<Advertisements | { readonly why: string }> {
  const ffi = await importFfi()
  if (ffi === null) return { why: 'this Node has no node:ffi (26 has)' }
  const { lib, functions } = ffi.dlopen(null, {
    socket: { arguments: ['int32', 'int32', 'int32'], return: 'int32' },
    setsockopt: { arguments: ['int32', 'int32', 'int32', 'pointer', 'uint32'], return: 'int32' },
    sendto: { arguments: ['int32', 'pointer', 'uint64', 'int32', 'pointer', 'uint32'], return: 'int64' },
    close: { arguments: ['int32'], return: 'int32' }
  })
  const { socket, setsockopt, sendto, close } = functions
  const handle = Number(socket!(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6))
  if (handle < 0) return { why: 'the right CAP_NET_RAW is missing' }
  const set = (option: number, value: number): boolean =>
    Number(setsockopt!(handle, IPPROTO_IPV6, option, int32(value), 4)) === 0
  // A hop limit of 255 proves that the sender is on this link; others are dropped (RFC 4861 §6.1.2).
  if (!set(IPV6_MULTICAST_HOPS, 255) || !set(IPV6_MULTICAST_IF, scope)) {
    close!(handle)
    return { why: 'the system has no IPv6 there' }
  }
  const to = allNodes(scope)
  return {
    send: () => Number(sendto!(handle, advertisement, BigInt(advertisement.length), 0, to, to.length)) >= 0,
    close() {
      close!(handle)
      lib.close()
    }
  }
}

/** sockaddr_in6 of ff02::1 on that interface; the kernel's structures are little-endian on all that we run on. */
function allNodes(scope: number): Buffer {
  const address = Buffer.alloc(28)
  address.writeUInt16LE(AF_INET6, 0)
  address[8] = 0xff
  address[9] = 0x02
  address[23] = 1
  address.writeUInt32LE(scope, 24)
  return address
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value)
  return bytes
}

interface Ffi {
  readonly dlopen: (
    library: string | null,
    functions: Record<string, { readonly arguments: readonly string[]; readonly return: string }>
  ) => {
    readonly lib: { readonly close: () => void }
    readonly functions: Record<string, (...values: ReadonlyArray<number | bigint | Buffer>) => number | bigint>
  }
}

async function importFfi(): Promise<Ffi | null> {
  const name = 'node:ffi'
  try {
    return (await import(name)) as Ffi
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_UNKNOWN_BUILTIN_MODULE') return null
    throw error
  }
}
