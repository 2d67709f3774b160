// Reads the UDP payloads out of a classic pcap file of Ethernet frames with IPv4: as much as the captures need.

import { readFileSync } from 'node:fs'

export interface Datagram {
  readonly from: { readonly address: string; readonly port: number }
  readonly to: { readonly address: string; readonly port: number }
  readonly bytes: Buffer
}

export function readDatagrams(path: string): Datagram[] {
  const file = readFileSync(path)
  const magic = file.readUInt32LE(0)
  if (magic !== 0xa1b2c3d4 && magic !== 0xa1b23c4d) throw new Error(`${path} is no little-endian pcap file`)
  const found: Datagram[] = []
  for (let at = 24; at + 16 <= file.length;) {
    const size = file.readUInt32LE(at + 8)
    const datagram = readFrame(file.subarray(at + 16, at + 16 + size))
    if (datagram !== null) found.push(datagram)
    at += 16 + size
  }
  return found
}

function readFrame(frame: Buffer): Datagram | null {
  if (frame.length < 42 || frame.readUInt16BE(12) !== 0x0800 || frame[23] !== 17) return null
  const fragment = frame.readUInt16BE(20) & 0x3fff
  if (fragment !== 0) return null
  const ip = frame.subarray(14)
  const udp = ip.subarray((ip[0]! & 0x0f) * 4)
  return {
    from: { address: ip.subarray(12, 16).join('.'), port: udp.readUInt16BE(0) },
    to: { address: ip.subarray(16, 20).join('.'), port: udp.readUInt16BE(2) },
    bytes: udp.subarray(8, udp.readUInt16BE(4))
  }
}
