// The files that are on their way at the moment, each in memory once however many fetch it, and how much they may be.

import { toNetascii } from './session.ts'

export interface Share {
  /** As it crosses the wire; null when it is too long to be a text. */
  readonly content: (file: Buffer, mode: 'octet' | 'netascii') => Buffer | null
  /** False when that would be too much at once: who asked comes again. */
  readonly take: (content: Buffer) => boolean
  readonly give: (content: Buffer) => void
}

/** A few installers' kernels and initial RAM disks. */
const BYTES_MAX = 512 * 1024 * 1024
/** What is larger is no text, and its conversion would keep everybody waiting. */
const NETASCII_BYTES_MAX = 16 * 1024 * 1024

export function createShare(): Share {
  const texts = new WeakMap<Buffer, Buffer>()
  const users = new Map<Buffer, number>()
  let bytes = 0
  return {
    content(file, mode) {
      if (mode === 'octet') return file
      if (file.length > NETASCII_BYTES_MAX) return null
      const text = texts.get(file) ?? toNetascii(file)
      texts.set(file, text)
      return text
    },
    take(content) {
      const before = users.get(content) ?? 0
      if (before === 0 && bytes > 0 && bytes + content.length > BYTES_MAX) return false
      if (before === 0) bytes += content.length
      users.set(content, before + 1)
      return true
    },
    give(content) {
      const left = (users.get(content) ?? 1) - 1
      if (left > 0) return void users.set(content, left)
      users.delete(content)
      bytes -= content.length
    }
  }
}
