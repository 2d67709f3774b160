// Calls of the C library through node:ffi, for what Node's own do not offer: one interface, raw packets, what is known
// of an interface without a carrier. The only file that knows of that experimental API; Node 26 has it, 24 has not.

type Call = (...values: ReadonlyArray<number | bigint | Buffer>) => number | bigint

/** Each returns -1 when the system refuses; errno() then tells why. */
export interface Libc {
  readonly socket: Call
  readonly setsockopt: Call
  readonly bind: Call
  readonly connect: Call
  readonly ioctl: Call
  readonly sendto: Call
  readonly sendmmsg: Call
  readonly recvmmsg: Call
  readonly recvfrom: Call
  readonly close: Call
  readonly shutdown: Call
  readonly fcntl: Call
  readonly read: Call
  readonly write: Call
  readonly sendfile: Call
  readonly eventfd: Call
  readonly epoll_create1: Call
  readonly epoll_ctl: Call
  readonly epoll_wait: Call
  readonly __errno_location: Call
}

const signatures = {
  socket: { arguments: ['int32', 'int32', 'int32'], return: 'int32' },
  setsockopt: { arguments: ['int32', 'int32', 'int32', 'pointer', 'uint32'], return: 'int32' },
  bind: { arguments: ['int32', 'pointer', 'uint32'], return: 'int32' },
  connect: { arguments: ['int32', 'pointer', 'uint32'], return: 'int32' },
  ioctl: { arguments: ['int32', 'uint64', 'pointer'], return: 'int32' },
  sendto: { arguments: ['int32', 'pointer', 'uint64', 'int32', 'pointer', 'uint32'], return: 'int64' },
  sendmmsg: { arguments: ['int32', 'pointer', 'uint32', 'int32'], return: 'int32' },
  recvmmsg: { arguments: ['int32', 'pointer', 'uint32', 'int32', 'pointer'], return: 'int32' },
  recvfrom: { arguments: ['int32', 'pointer', 'uint64', 'int32', 'pointer', 'pointer'], return: 'int64' },
  close: { arguments: ['int32'], return: 'int32' },
  shutdown: { arguments: ['int32', 'int32'], return: 'int32' },
  fcntl: { arguments: ['int32', 'int32', 'int32'], return: 'int32' },
  // A few bytes at a time, so that no large integers are needed; and three arguments, which Node passes fastest.
  read: { arguments: ['int32', 'pointer', 'uint32'], return: 'int32' },
  write: { arguments: ['int32', 'pointer', 'uint32'], return: 'int32' },
  sendfile: { arguments: ['int32', 'int32', 'pointer', 'uint64'], return: 'int64' },
  eventfd: { arguments: ['uint32', 'int32'], return: 'int32' },
  epoll_create1: { arguments: ['int32'], return: 'int32' },
  epoll_ctl: { arguments: ['int32', 'int32', 'int32', 'pointer'], return: 'int32' },
  epoll_wait: { arguments: ['int32', 'pointer', 'int32', 'int32'], return: 'int32' },
  __errno_location: { arguments: [], return: 'pointer' }
}

interface Ffi {
  readonly getRawPointer: (bytes: Buffer) => bigint
  readonly dlopen: (library: null, functions: typeof signatures) => { readonly functions: Libc }
  readonly toArrayBuffer: (pointer: bigint, length: number, copy: boolean) => ArrayBuffer
}

let opened: Libc | null | undefined
let error: Int32Array | null = null

function ffi(): Ffi | undefined {
  return process.getBuiltinModule('node:ffi') as unknown as Ffi | undefined
}

/** Opened once for this thread, whose process holds the library anyway; null on a Node without node:ffi. */
export function openLibc(): Libc | null {
  if (opened !== undefined) return opened
  const found = ffi()
  opened = found?.dlopen(null, signatures).functions ?? null
  // errno is a word of the thread's own memory, whose address the C libraries of Linux tell; it never moves.
  const place = opened?.__errno_location()
  error = found && typeof place === 'bigint' ? new Int32Array(found.toArrayBuffer(place, 4, false)) : null
  return opened
}

/** Why the last call of this thread returned -1: to be asked before anything else is called. 0 when nobody knows. */
export function errno(): number {
  return error?.[0] ?? 0
}

/** Where these bytes are in memory, for structures that point at others. They must be kept as long as it is used. */
export function pointerTo(bytes: Buffer): bigint {
  return ffi()!.getRawPointer(bytes)
}

/** socket(7): the level of what setsockopt() sets on any socket. */
export const SOL_SOCKET = 1

/** The kernel's structures are little-endian on all that we run on. */
export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value)
  return bytes
}
