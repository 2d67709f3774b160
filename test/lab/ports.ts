// Finds free ports on loopback. Between finding and using one another program may take it: the caller tries again.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Ports } from './documents.ts'

/** Eight ports, all held until the last was found, so that no two are the same. */
export async function freePorts(): Promise<Ports> {
  const udp = await Promise.all([openUdp(), openUdp(), openUdp(), openUdp()])
  const tcp = await Promise.all([openTcp(), openTcp(), openTcp(), openTcp()])
  const [dhcpServer, dhcpClient, dhcpProxy, tftp] = udp.map(({ port }) => port)
  const [boot, control, page, cluster] = tcp.map(({ port }) => port)
  await Promise.all([...udp, ...tcp].map(({ close }) => close()))
  return {
    dhcpServer: dhcpServer!,
    dhcpClient: dhcpClient!,
    dhcpProxy: dhcpProxy!,
    tftp: tftp!,
    boot: boot!,
    control: control!,
    page: page!,
    cluster: cluster!
  }
}

interface Held {
  port: number
  readonly close: () => Promise<unknown>
}

async function openUdp(): Promise<Held> {
  const socket = createSocket('udp4')
  socket.bind(0, '0.0.0.0') // DHCP listens on all addresses, so the port must be free on all
  await once(socket, 'listening')
  return { port: socket.address().port, close: async () => await closed(socket) }
}

async function openTcp(): Promise<Held> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('a TCP server has no port')
  return { port: address.port, close: async () => await closed(server) }
}

async function closed(held: { close(done: () => void): unknown }): Promise<void> {
  await new Promise<void>(resolve => held.close(() => resolve()))
}
