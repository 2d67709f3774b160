// One TFTP read transfer as a pure function: (session, event) -> (session, effects). No sockets, timers or clock:
// server.ts performs the effects.
//
//   open ──options──► OACK ──ACK 0──► window of blocks ──ACK──► next window … ──last ACK──► closed
//     └───── no options ──► block 1 ──ACK 1──┘
//
//   timeout        all that is not acknowledged is sent again, at most ATTEMPTS_MAX times in all
//   asked again    the first answer is repeated: it was slow or lost
//   duplicate ACK  nothing: answering it would double every later packet (RFC 1123 §4.2.3.1)
//   ACK in a window  the client has a gap after it: the window is sent again from there (RFC 7440 §4)
//
// Until the first ACK proves that the client is where it says, one packet is out at a time: options that would open a
// window are acknowledged alone first, and without options there is no window.

import { errorCode, type Options, type Packet } from './packet.ts'

export interface Session {
  readonly file: Buffer
  readonly blockSize: number
  readonly windowSize: number
  readonly timeoutMs: number
  /** In the whole file: the last block is the first short one, so whole blocks are followed by an empty one. */
  readonly blocks: number
  /** Blocks that the client has acknowledged, counted without wrapping. */
  readonly acknowledged: number
  /** The last block sent; equal to `acknowledged` while the OACK is out. */
  readonly sent: number
  readonly attempt: number
  readonly state: 'options' | 'data' | 'closed'
  readonly options: Options
}

/** One that nobody else holds. */
export type Owned = { -readonly [Key in keyof Session]: Session[Key] }

export type Event =
  | { readonly type: 'packet'; readonly packet: Packet }
  | { readonly type: 'timeout' }
  | { readonly type: 'asked again' }

export type Effect =
  | { readonly type: 'send'; readonly packet: Packet }
  /** Blocks `first` to `first + count - 1`, as encodeBlocks makes them. */
  | { readonly type: 'blocks'; readonly first: number; readonly count: number }
  | { readonly type: 'wait'; readonly ms: number }
  | { readonly type: 'close'; readonly outcome: Outcome }

/** `size asked`: OVMF opens each file twice, and aborts the first time once it knows the size. */
export type Outcome = 'complete' | 'size asked' | 'timed out' | 'aborted by client'
export type Step = readonly [Session, readonly Effect[]]

const BLOCK_SIZE = 512
/** One Ethernet frame: firmware rarely reassembles fragments. */
const BLOCK_SIZE_MAX = 1468
/** More gains nothing on a wire (measured), and would be much to lose at once. */
const WINDOW_MAX = 32
const TIMEOUT_MS = 1000
/** RFC 2349 allows 255 s; a transfer that waits so long is dead. */
const TIMEOUT_SECONDS_MAX = 10
/** How often one packet is sent, and how often while nobody has proved to be there. */
const ATTEMPTS_MAX = 6
const ATTEMPTS_MAX_UNPROVEN = 4
/** A block is ten times what asked for it, and the one who asked may be forged: he is to ask again himself. */
const ATTEMPTS_MAX_UNPROVEN_BLOCK = 2
/** After the last of them a slow client is heard for so many timeouts more. */
const PATIENCE = 3

/** Begins a transfer of what is to cross the wire: for netascii, what toNetascii made of the file. */
export function open(file: Buffer, requested: Options): Step {
  const options = negotiate(file, requested)
  const plain = Object.keys(options).length === 0
  const blockSize = Number(options.blksize ?? BLOCK_SIZE)
  const session: Session = {
    file,
    blockSize,
    blocks: Math.floor(file.length / blockSize) + 1, // RFC 1350 §6
    windowSize: Number(options.windowsize ?? 1),
    timeoutMs: options.timeout === undefined ? TIMEOUT_MS : Number(options.timeout) * 1000,
    acknowledged: 0,
    sent: 0,
    attempt: 1,
    state: plain ? 'data' : 'options',
    options
  }
  return transmit(session)
}

export function step(session: Session, event: Event): Step {
  if (session.state === 'closed') return [session, []]
  if (event.type === 'timeout') {
    return session.attempt >= attemptsMax(session)
      ? close(session, 'timed out')
      : transmit({ ...session, attempt: session.attempt + 1 })
  }
  if (event.type === 'asked again') {
    return isProven(session) || session.attempt >= ATTEMPTS_MAX
      ? [session, []]
      : transmit({ ...session, attempt: session.attempt + 1 })
  }
  const { packet } = event
  if (packet.op === 'error') {
    const probe = session.state === 'options' && session.options.tsize !== undefined
    return close(session, probe ? 'size asked' : 'aborted by client')
  }
  return packet.op === 'ack' ? acknowledge(session, packet.block) : [session, []]
}

/** Whether the client has answered: until then it may be somebody else who asked in its name. */
export function isProven({ state, acknowledged, options }: Session): boolean {
  return state === 'data' && (acknowledged > 0 || Object.keys(options).length > 0)
}

function attemptsMax(session: Session): number {
  if (isProven(session)) return ATTEMPTS_MAX
  return session.state === 'options' ? ATTEMPTS_MAX_UNPROVEN : ATTEMPTS_MAX_UNPROVEN_BLOCK
}

function acknowledge(session: Session, block: number): Step {
  if (session.state === 'options') {
    return block === 0 ? transmit({ ...session, state: 'data', attempt: 1 }) : [session, []]
  }
  // Block numbers are 16 bits and wrap to 0 on large files: what counts is how far this one is ahead.
  const ahead = (block - session.acknowledged) & 0xffff
  if (ahead === 0 || ahead > session.sent - session.acknowledged) return [session, []]
  const next = { ...session, acknowledged: session.acknowledged + ahead, attempt: 1 }
  return next.acknowledged === next.blocks ? close(next, 'complete') : transmit(next)
}

/**
 * step() for what comes most often, the ACK of all that was sent while there is more to send: changes the session
 * itself, which must be its owner's alone, and makes no objects. Blocks acknowledged + 1 to sent are then to be sent.
 * False, and nothing changed, for any other ACK.
 */
export function advance(session: Owned, block: number): boolean {
  const { state, sent, blocks } = session
  if (state !== 'data' || sent === session.acknowledged || (sent & 0xffff) !== block || sent === blocks) return false
  session.acknowledged = sent
  session.sent = Math.min(sent + session.windowSize, blocks)
  session.attempt = 1
  return true
}

/** Sends what is not acknowledged: the OACK, or the window after the last acknowledged block. */
function transmit(session: Session): Step {
  const isLast = !isProven(session) && session.state === 'data' && session.attempt >= ATTEMPTS_MAX_UNPROVEN_BLOCK
  const wait: Effect = { type: 'wait', ms: isLast ? session.timeoutMs * PATIENCE : session.timeoutMs }
  if (session.state === 'options') {
    return [session, [{ type: 'send', packet: { op: 'oack', options: session.options } }, wait]]
  }
  const sent = Math.min(session.acknowledged + session.windowSize, session.blocks)
  const blocks: Effect = { type: 'blocks', first: session.acknowledged + 1, count: sent - session.acknowledged }
  return [{ ...session, sent }, [blocks, wait]]
}

/**
 * Writes DATA packets one after the other and returns their length. All but the last of the file are blockSize + 4
 * bytes long, so that the kernel can part them again (UDP_SEGMENT, udp(7)).
 */
export function encodeBlocks({ file, blockSize }: Session, first: number, count: number, into: Buffer): number {
  let at = 0
  for (let block = first; block < first + count; block++) {
    at = into.writeUInt16BE(3, at)
    at = into.writeUInt16BE(block & 0xffff, at)
    const start = (block - 1) * blockSize
    at += file.copy(into, at, start, start + blockSize)
  }
  return at
}

/** The most that encodeBlocks writes for this session. */
export function windowBytes({ blockSize, windowSize }: Session): number {
  return (blockSize + 4) * windowSize
}

function close(session: Session, outcome: Outcome): Step {
  return [{ ...session, state: 'closed' }, [{ type: 'close', outcome }]]
}

/** What is agreed to. A value out of range is left out, not refused: the client goes on without it (RFC 2347 §4). */
function negotiate(file: Buffer, requested: Options): Options {
  const agreed: Record<string, string> = {}
  const blockSize = whole(requested.blksize, 8, 65464) // RFC 2348
  if (blockSize !== null) agreed.blksize = String(Math.min(blockSize, BLOCK_SIZE_MAX))
  if (whole(requested.tsize, 0, Number.MAX_SAFE_INTEGER) !== null) agreed.tsize = String(file.length)
  // RFC 2349 §3: a server takes the timeout as it is or leaves it out.
  const timeout = whole(requested.timeout, 1, TIMEOUT_SECONDS_MAX)
  if (timeout !== null) agreed.timeout = String(timeout)
  const windowSize = whole(requested.windowsize, 1, 65535) // RFC 7440 §3
  if (windowSize !== null) agreed.windowsize = String(Math.min(windowSize, WINDOW_MAX))
  return agreed
}

function whole(text: string | undefined, min: number, max: number): number | null {
  if (text === undefined || !/^\d{1,16}$/.test(text)) return null
  const value = Number(text)
  return value >= min && value <= max ? value : null
}

/** RFC 764: LF becomes CR LF, a lone CR becomes CR NUL. */
export function toNetascii(file: Buffer): Buffer {
  const text = file
    .toString('latin1')
    .replace(/\r\n|\n|\r/g, end => (end === '\r' ? '\r\0' : end === '\n' ? '\r\n' : '\r\0\r\n'))
  return Buffer.from(text, 'latin1')
}

/** What a request that opens no session is answered. */
export const refusal = {
  notFound: { op: 'error', code: errorCode.notFound, message: 'file not found' },
  tooLong: { op: 'error', code: errorCode.undefined, message: 'netascii is for texts: ask for octet' },
  denied: { op: 'error', code: errorCode.denied, message: 'no such name can be served' },
  readOnly: { op: 'error', code: errorCode.denied, message: 'this server only gives files' }
} as const satisfies Record<string, Packet>
