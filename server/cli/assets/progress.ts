// One line that tells how far a long copy is, on a terminal alone.

import { plainText } from '../table.ts'

export interface Progress {
  /** Bytes so far, of how many; null when that is not known. */
  readonly at: (bytes: number, of: number | null) => void
  /** Takes the line away. */
  readonly done: () => void
}

const EVERY_MS = 200
const NAME_MAX = 40

export function createProgress(name: string, stream: NodeJS.WriteStream, now: () => number): Progress {
  if (!stream.isTTY) return { at() {}, done() {} }
  const shown = plainText(name).slice(-NAME_MAX)
  let last = now()
  let written = false
  return {
    at(bytes, of) {
      if (now() - last < EVERY_MS) return
      last = now()
      written = true
      const part = of === null || of === 0 ? '' : ` of ${size(of)} (${Math.floor((100 * bytes) / of)} %)`
      stream.write(`\r\u001b[K${shown}  ${size(bytes)}${part}`)
    },
    done() {
      if (written) stream.write('\r\u001b[K')
    }
  }
}

/** For people: 512 B, 1.0 MiB. */
export function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const step = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10))
  const value = bytes / 1024 ** step
  return `${step === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[step]}`
}
