// A rack that is powered on all at once, as a process of its own: each machine goes from its first DISCOVER (UEFI PXE,
// behind a relay) by TFTP, a second DHCP exchange as iPXE and the boot script to its own config, every step from its own
// address and tried again as firmware would. Prints { seconds, failed, retries, times, firstFailure,
// cpu }.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { get, request } from 'node:http'
import { request as secureRequest } from 'node:https'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { decodePacket, encodePacket, messageType, type Packet } from '../../../server/dhcp/codec/packet.ts'
import { packetOf } from '../../lab/dhcp-client.ts'
import { documents } from '../../lab/documents.ts'
import { workerQuery } from '../../lab/rack/spec.ts'
import { fetchFile } from '../../lab/tftp-client.ts'
import { RELAY, SERVER } from './network.ts'

interface Input {
  readonly machines: number
  readonly data: string
  readonly controlPort: number
}

const { machines, data, controlPort } = JSON.parse(process.argv[2] ?? '') as Input
/** What EDK2 and iPXE wait before they ask again, the first time. */
const DHCP_RETRY_MS = 4_000
const ATTEMPTS_MAX = 4
const HTTP_MS_MAX = 30_000
const TFTP_MS_MAX = 4_000
let retries = 0

const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 })
socket.bind(67, RELAY)
await once(socket, 'listening')
const heard = new Map<number, (packet: Packet) => void>()
socket.on('message', bytes => {
  const packet = decodePacket(bytes)
  heard.get(packet.transaction)?.(packet)
})

async function ask(packet: Packet): Promise<Packet> {
  const bytes = encodePacket({ ...packet, relay: RELAY, hops: 1 })
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    retries += attempt === 0 ? 0 : 1
    const answer = Promise.withResolvers<Packet | null>()
    heard.set(packet.transaction, answer.resolve)
    const timer = setTimeout(() => answer.resolve(null), DHCP_RETRY_MS)
    socket.send(bytes, 67, SERVER)
    const found = await answer.promise
    clearTimeout(timer)
    heard.delete(packet.transaction)
    if (found !== null) return found
  }
  throw new Error(`no DHCP answer after ${ATTEMPTS_MAX} attempts`)
}

async function lease(mac: string, uuid: string, asker: 'uefi-pxe' | 'uefi-ipxe'): Promise<Packet> {
  const base = packetOf({ mac, uuid, asker })
  const offer = await ask({ ...base, options: { messageType: messageType.discover, ...base.options } })
  const chosen = { serverId: offer.options.serverId!, requestedAddress: offer.yourAddress }
  const wish = { ...base, transaction: (base.transaction + 1) >>> 0 }
  const ack = await ask({ ...wish, options: { messageType: messageType.request, ...chosen, ...base.options } })
  if (ack.options.messageType !== messageType.ack) throw new Error(`refused: ${ack.options.message ?? 'NAK'}`)
  return ack
}

async function boot(number: number): Promise<void> {
  const hex = number.toString(16).padStart(4, '0')
  const mac = `52:54:01:77:${hex.slice(0, 2)}:${hex.slice(2)}`
  const uuid = `77a1c0de-0000-4000-8000-00525401${hex}`
  const localAddress = await loadProgram(mac, uuid)
  const ipxe = await lease(mac, uuid, 'uefi-ipxe')
  const script = new URL(ipxe.options.bootFileName ?? ipxe.bootFile)
  await fetchText(script, localAddress)
  const query = workerQuery(mac, uuid, `STORM-${hex}`)
  const answer = await fetchText(new URL(`${script.origin}/boot/ipxe?${query}`), localAddress)
  const config = /http:\/\/[^\s/]+\/b\/\S+/.exec(answer)?.[0]
  if (config === undefined) throw new Error(`no config in the answer: ${answer.slice(0, 300)}`)
  await fetchText(new URL(config), localAddress)
}

/** The firmware's part; when the transfer fails its boot manager begins again, with DISCOVER. Returns its address. */
async function loadProgram(mac: string, uuid: string): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const firmware = await lease(mac, uuid, 'uefi-pxe')
    const name = firmware.options.bootFileName ?? firmware.bootFile
    const localAddress = firmware.yourAddress
    const how = { localAddress, blockSize: 1468, windowSize: 4, timeoutMs: TFTP_MS_MAX }
    try {
      await fetchFile({ server: SERVER, port: 69, name, ...how })
      return localAddress
    } catch (error) {
      if (attempt === ATTEMPTS_MAX) throw error
      retries += 1
    }
  }
}

async function fetchText(url: URL, localAddress: string): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await once200(url, localAddress)
    } catch (error) {
      if (attempt === ATTEMPTS_MAX) throw error
      retries += 1
      await wait(1_000)
    }
  }
}

function once200(url: URL, localAddress: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = get(url, { localAddress, agent: false, timeout: HTTP_MS_MAX }, reply => {
      let text = ''
      reply.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      reply.on('error', reject)
      reply.on('end', () => {
        if (reply.statusCode === 200) resolve(text)
        else reject(new Error(`${url.pathname}: ${reply.statusCode} ${text.slice(0, 200)}`))
      })
    })
    asked.on('timeout', () => asked.destroy(new Error(`${url.pathname}: nothing for ${HTTP_MS_MAX} ms`)))
    asked.on('error', reject)
  })
}

/** The documents of the simulated rack, as its administrator applies them. */
async function apply(): Promise<void> {
  const ports = { dhcpServer: 67, dhcpClient: 68, dhcpProxy: 4011, tftp: 69, boot: 80, control: controlPort }
  const body = JSON.stringify(documents({ ...ports, page: 0, cluster: 6443 }))
  const options: Parameters<typeof request>[1] = {
    method: 'POST',
    headers: {
      authorization: `Bearer ${readFileSync(join(data, 'admin.token'), 'utf8').trim()}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body)
    }
  }
  const ca = readFileSync(join(data, 'ca', 'ca.crt'))
  const asked = secureRequest(`https://${SERVER}:${controlPort}/api/v1/apply`, { ...options, ca })
  asked.end(body)
  const [reply] = (await once(asked, 'response')) as [import('node:http').IncomingMessage]
  if (reply.statusCode !== 200) throw new Error(`apply: ${reply.statusCode}`)
  reply.resume()
}

await apply()
const started = performance.now()
const times: number[] = []
let firstFailure: string | null = null
let failed = 0
await Promise.all(
  Array.from({ length: machines }, async (_, n) => {
    try {
      await boot(n + 1)
      times.push((performance.now() - started) / 1000)
    } catch (error) {
      failed += 1
      firstFailure ??= String(error)
    }
  })
)
socket.close()
const seconds = (performance.now() - started) / 1000
const { user, system } = process.cpuUsage()
const cpu = (user + system) / 1e6
process.stdout.write(JSON.stringify({ seconds, failed, retries, times, firstFailure, cpu }))
