// Calls of the C library through node:ffi, for what Node's own do not offer: one interface, raw packets, what is known
// of an interface without a carrier. The only file that knows of that experimental API; Node 26 has it, 24 has not.

type Call = (...values: ReadonlyArray<number | bigint | Buffer>) => number | bigint

/** Each returns -1 when the system refuses; why is not told. */
export interface Libc {
  readonly socket: Call
  readonly setsockopt: Call
  readonly bind: Call
  readonly ioctl: Call
  readonly sendto: Call
  readonly close: Call
}

const signatures = {
  socket: { arguments: ['int32', 'int32', 'int32'], return: 'int32' },
  setsockopt: { arguments: ['int32', 'int32', 'int32', 'pointer', 'uint32'], return: 'int32' },
  bind: { arguments: ['int32', 'pointer', 'uint32'], return: 'int32' },
  ioctl: { arguments: ['int32', 'uint64', 'pointer'], return: 'int32' },
  sendto: { arguments: ['int32', 'pointer', 'uint64', 'int32', 'pointer', 'uint32'], return: 'int64' },
  close: { arguments: ['int32'], return: 'int32' }
}

interface Ffi {
  readonly dlopen: (library: null, functions: typeof signatures) => { readonly functions: Libc }
}

let opened: Libc | null | undefined

/** Opened once for this process, which holds the library anyway; null on a Node without node:ffi. */
export function openLibc(): Libc | null {
  if (opened !== undefined) return opened
  const ffi = process.getBuiltinModule('node:ffi') as unknown as Ffi | undefined
  opened = ffi?.dlopen(null, signatures).functions ?? null
  return opened
}

/** The kernel's structures are little-endian on all that we run on. */
export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value)
  return bytes
}
