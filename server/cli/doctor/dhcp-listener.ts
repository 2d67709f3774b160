// A process of its own: listens with npm's dhcp where clients and servers broadcast, and prints one JSON line a server
// that it hears of. It never sends. Arguments: the servers' port, the clients' port.

import dhcp, { type Packet } from 'dhcp'
import Options from 'dhcp/lib/options.js'
import SeqBuffer from 'dhcp/lib/seqbuffer.js'
import type { Heard } from './dhcp.ts'

const SERVER_IDENTIFIER = 54
const PAD = 0
const END = 255

interface Reader {
  _data: Buffer
  _r: number
  [read: string]: unknown
}

/** The package's own reader takes two bytes for a PAD and prints about options that it does not know. */
SeqBuffer.prototype.getOptions = function getOptions(this: Reader): Record<number, unknown> {
  const options: Record<number, unknown> = {}
  const data = this._data
  while (this._r < data.length) {
    const code = data[this._r++]!
    if (code === END) break
    if (code === PAD) continue
    const length = data[this._r++] ?? 0
    const start = this._r
    const type = Options.opts[code]?.type
    const read = type === undefined ? undefined : this[`get${type}`]
    if (typeof read === 'function' && start + length <= data.length) options[code] = read.call(this, length)
    this._r = start + length
  }
  return options
}

function say(heard: Heard): void {
  process.stdout.write(`${JSON.stringify(heard)}\n`)
}

/** A client's REQUEST names the server it has chosen; a reply names who sent it. */
function hear({ chaddr, options }: Packet): void {
  const address = options[SERVER_IDENTIFIER]
  if (typeof address === 'string') say({ kind: 'server', address, mac: chaddr })
}

for (const port of process.argv.slice(2).map(Number)) {
  const listener = dhcp.createBroadcastHandler()
  listener.on('message', hear)
  listener.on('listening', () => say({ kind: 'listening' }))
  listener.on('error', (error, packet) => {
    // A reply is "malformed" to this package, which expects requests: it hands it over all the same.
    if (packet !== undefined) return hear(packet)
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EACCES') say({ kind: 'failed', why: `port ${port} needs root; run slipway doctor as root` })
    else if (code === 'EADDRINUSE')
      say({ kind: 'failed', why: `port ${port} is taken by a program that does not share it` })
  })
  listener.listen(port, '0.0.0.0')
}
