// Waiting for many sockets at once (epoll(7)) outside Node's own event loop, for a thread that does nothing else. The
// descriptors that are watched stay their owner's; so do the two that this opens, which any thread may use and close.

import { type Libc, openLibc, pointerTo } from './libc.ts'

const EPOLL_CLOEXEC = 0x80000
const EFD_CLOEXEC = 0x80000
const EFD_NONBLOCK = 0x800
const EPOLL_CTL_ADD = 1
const EPOLL_CTL_DEL = 2
export const EPOLLIN = 0x001
export const EPOLLOUT = 0x004
export const EPOLLERR = 0x008
export const EPOLLHUP = 0x010
export const EPOLLET = 0x80000000

/** struct epoll_event is packed on x86-64 alone: <sys/epoll.h>, __EPOLL_PACKED. */
const [EVENT_BYTES, DATA_AT] = process.arch === 'x64' ? [12, 4] : [16, 8]
const EVENTS_MAX = 256

/** The descriptors of one epoll instance and of the bell (eventfd(2)) that wakes who waits. */
export interface Poll {
  readonly poll: number
  readonly bell: number
}

export interface Waiter {
  /** Level-triggered unless with EPOLLET; false when the system refuses. */
  readonly add: (handle: number, events: number) => boolean
  /** Needed even before a close: a duplicate of the descriptor would keep it watched. */
  readonly remove: (handle: number) => void
  /**
   * Calls `ready` for each descriptor with what it is ready for; not for the bell, which is answered here. Returns
   * whether it rang.
   */
  readonly wait: (ms: number, ready: (handle: number, events: number) => void) => boolean
}

/** Null without node:ffi, or when the system has no descriptors left. */
export function openPoll(): Poll | null {
  const libc = openLibc()
  if (libc === null) return null
  const poll = Number(libc.epoll_create1(EPOLL_CLOEXEC))
  const bell = Number(libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))
  if (poll >= 0 && bell >= 0 && waiterOn(libc, { poll, bell }).add(bell, EPOLLIN)) return { poll, bell }
  for (const handle of [poll, bell]) if (handle >= 0) libc.close(handle)
  return null
}

export function closePoll({ poll, bell }: Poll): void {
  const libc = openLibc()
  libc?.close(poll)
  libc?.close(bell)
}

const one = Buffer.from('0100000000000000', 'hex')

/** Wakes who waits, or else the next one who would. */
export function ring({ bell }: Poll): void {
  openLibc()?.write(bell, one, 8)
}

/** For one thread. */
export function waiterOn(libc: Libc, { poll, bell }: Poll): Waiter {
  const event = Buffer.alloc(EVENT_BYTES)
  const events = Buffer.alloc(EVENT_BYTES * EVENTS_MAX)
  const eventsAt = pointerTo(events)
  const count = Buffer.alloc(8)
  const control = (operation: number, handle: number, wanted: number): boolean => {
    event.writeUInt32LE(wanted, 0)
    event.writeInt32LE(handle, DATA_AT)
    return libc.epoll_ctl(poll, operation, handle, event) === 0
  }
  return {
    add: (handle, wanted) => control(EPOLL_CTL_ADD, handle, wanted),
    remove: handle => void control(EPOLL_CTL_DEL, handle, 0),
    wait(ms, ready) {
      const found = Number(libc.epoll_wait(poll, eventsAt, EVENTS_MAX, ms))
      let isRung = false
      for (let i = 0; i < found; i++) {
        const at = i * EVENT_BYTES
        const handle = events.readInt32LE(at + DATA_AT)
        if (handle === bell) isRung = libc.read(bell, count, 8) !== -1
        else ready(handle, events.readUInt32LE(at))
      }
      return isRung
    }
  }
}
