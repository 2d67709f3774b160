// The server is killed in the middle of a rack's leases: each address that a machine was told (ACK) is in the store at
// the next start, whatever `dhcp.leases.durability` says. What a power cut leaves: test/server/store/durable.test.ts.

import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { decodePacket, encodePacket, messageType, type Packet } from '../../server/dhcp/codec/packet.ts'
import { openDatabase } from '../../server/store/database.ts'
import { listLeases } from '../../server/store/leases.ts'
import { seeded } from '../helpers/random.ts'
import { packetOf } from '../lab/dhcp-client.ts'
import { freePorts } from '../lab/ports.ts'

t.setTimeout(60_000)

const main = join(import.meta.dirname, '..', '..', 'server', 'main.ts')
const RELAY = '127.78.0.1'
const CLIENTS = 2_000
const AT_ONCE = 48
const LOOKS_MAX = 600

async function serve(t: Test, durability: string): Promise<{ data: string; port: number; kill: () => Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-crash-'))
  const ports = await freePorts()
  const data = join(folder, 'data')
  const config = {
    data,
    interfaces: ['lo'],
    dhcp: {
      mode: 'authoritative',
      ports: { server: ports.dhcpServer, client: ports.dhcpClient, proxy: ports.dhcpProxy },
      subnets: [{ subnet: '127.0.0.0/8', pool: '127.78.1.0-127.78.99.255', lease: '1h' }],
      leases: { durability }
    },
    tftp: { port: ports.tftp },
    boot: { port: ports.boot },
    control: { port: ports.control }
  }
  writeFileSync(join(folder, 'slipway.yaml'), JSON.stringify(config))
  const args = [main, 'serve', '--config', join(folder, 'slipway.yaml')]
  const child = spawn(process.execPath, args, { stdio: 'ignore' })
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
    rmSync(folder, { recursive: true, force: true })
  })
  for (let look = 0; !existsSync(join(data, 'run.json')); look++) {
    if (look === LOOKS_MAX || child.exitCode !== null) throw new Error('the server did not start')
    await wait(25)
  }
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await ended
  }
  return { data, port: ports.dhcpServer, kill }
}

/** Clients behind one relay, so many under way at once, until so many have been told their address. */
async function lease(port: number, enough: number): Promise<Map<string, string>> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true, recvBufferSize: 4 << 20 })
  socket.bind(port, RELAY)
  await once(socket, 'listening')
  const told = new Map<string, string>()
  const over = Promise.withResolvers<void>()
  let next = 0
  const send = (packet: Packet): void => socket.send(encodePacket({ ...packet, relay: RELAY }), port, '127.0.0.1')
  const begin = (): void => {
    if (next === CLIENTS) return
    const mac = `52:54:00:00:${(next >>> 8).toString(16).padStart(2, '0')}:${(next & 255).toString(16).padStart(2, '0')}`
    next += 1
    const base = packetOf({ mac, asker: 'linux' })
    send({ ...base, options: { messageType: messageType.discover, ...base.options } })
  }
  socket.on('message', bytes => {
    const packet = decodePacket(bytes)
    const { serverId } = packet.options
    if (packet.options.messageType === messageType.offer) {
      const options = { messageType: messageType.request, serverId: serverId!, requestedAddress: packet.yourAddress }
      send({ ...packetOf({ mac: packet.mac, asker: 'linux' }), options })
    } else if (packet.options.messageType === messageType.ack) {
      told.set(packet.mac, packet.yourAddress)
      if (told.size >= enough) over.resolve()
      else begin()
    }
  })
  for (let n = 0; n < AT_ONCE; n++) begin()
  await over.promise
  socket.close()
  return told
}

for (const durability of ['committed', 'written']) {
  t.test(`killed between leases that are ${durability}`, async t => {
    const seed = Number(process.env['SLIPWAY_SEED'] ?? Date.now() % 1_000_000)
    t.comment(`SLIPWAY_SEED=${seed}`)
    const { data, port, kill } = await serve(t, durability)
    const told = await lease(port, 100 + Math.floor(seeded(seed)() * 900))
    await kill()
    const database = await openDatabase({ database: null, data }, { now: () => new Date(), failed: () => {} })
    const kept = new Map((await listLeases(database.db)).map(({ mac, address }) => [mac, address]))
    await database.close()
    const lost = [...told].filter(([mac, address]) => kept.get(mac) !== address)
    t.same(lost, [], `${told.size} were told, ${kept.size} are kept`)
    t.ok(told.size >= 100)
  })
}
