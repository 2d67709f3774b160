// Ten thousand clients that say nothing, or half a request, as a process of its own (its descriptors are its own).
// Started as: node clients.ts PORT COUNT. Prints `open` when all are connected, then how many were closed on it.

import { connect } from 'node:net'
import { argv, stdout } from 'node:process'

/** Connected at once: the listener's queue holds 511. */
const LANES = 100
const [port, count] = [Number(argv[2]), Number(argv[3])]
let next = 0
let closed = 0

function open(n: number): Promise<void> {
  return new Promise((resolve, reject) => {
    // 1,000 from each address: one host alone may not have so many.
    const socket = connect({ host: '127.0.0.1', port, localAddress: `127.0.1.${1 + Math.floor(n / 1000)}` })
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      socket.on('error', () => socket.destroy()) // a reset is one way to be closed
      if (n % 2 === 1) socket.write('GET /healthz HTTP/1.1\r\nhost: x\r\nx-half: ')
      socket.resume()
      resolve()
    })
    socket.once('close', () => {
      closed += 1
      if (closed === count) stdout.write(`${closed}\n`)
    })
  })
}

async function lane(): Promise<void> {
  while (next < count) await open(next++)
}

await Promise.all(Array.from({ length: LANES }, lane))
stdout.write('open\n')
