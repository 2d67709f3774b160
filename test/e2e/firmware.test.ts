// Real firmware in QEMU, each kind by its own way to the same end: a system that runs and has said so to our API.
// Apart from `npm test`: minutes of emulation. SLIPWAY_FIRMWARE=TEXT runs the rows whose name holds it; root is needed.

import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { TimelineEvent } from '../../server/contract/event.ts'
import type { Machine } from '../../server/contract/machine.ts'
import { needs } from '../helpers/require.ts'
import { buildFirmware, firmwarePrograms, type FirmwareImages } from '../lab/os/build.ts'
import { aavmf, ovmf, powerOn } from './firmware/machine.ts'
import { far, neighbourPrograms } from './firmware/neighbours.ts'
import { rows, type Row } from './firmware/rows.ts'
import { openSite, type Site } from './firmware/site.ts'
import { ask } from './served.ts'

const chosen = process.env.SLIPWAY_FIRMWARE ?? ''
/** A boot takes 5 to 25 s; on a host that is busy with other things it was seen to take 80. */
const DEADLINE_MS = 120_000

const programs = ['ip', 'curl', 'tcpdump', 'qemu-system-x86_64', 'qemu-system-aarch64']
const files = ['OVMF_CODE_4M.fd', 'OVMF_CODE_4M.secboot.fd', 'OVMF_VARS_4M.ms.fd'].map(name => join(ovmf, name))
const options = needs({
  root: true,
  programs: [...programs, ...neighbourPrograms, ...firmwarePrograms],
  files: [...files, join(aavmf, 'AAVMF_CODE.fd')]
})

t.setTimeout(20 * 60_000)

t.test('real firmware', options, async t => {
  t.setTimeout(20 * 60_000)
  t.jobs = 2 // emulation keeps a processor busy each
  const images = await buildFirmware()
  for (const [index, row] of rows.entries()) {
    const skip = row.name.includes(chosen) ? false : `SLIPWAY_FIRMWARE is ${chosen}`
    // Not awaited one by one: tap runs two at a time.
    void t.test(row.name, { skip, buffered: true, timeout: 2 * DEADLINE_MS }, async t => run(t, row, index, images))
  }
})

async function run(t: Test, row: Row, index: number, images: FirmwareImages): Promise<void> {
  const site = await openSite(row, `fw${index}`, images)
  t.teardown(() => site.close())
  const mac = `52:54:00:fa:00:${String(index).padStart(2, '0')}`
  const board = {
    firmware: row.firmware,
    mac,
    folder: site.folder,
    recentRom: join(images.firmware, 'pxe-virtio.rom'),
    authority: row.firmware === 'uefi-https' ? join(site.folder, 'data', 'ca', 'firmware.crt') : null
  }
  const power = await powerOn(site.machines, board, () => new Date())
  try {
    const processor = await power.booted(DEADLINE_MS)
    await check(t, row, site, { mac, poweredOn: power.poweredOn, processor })
  } catch (error) {
    process.stderr.write(`${await site.explain()}\n--- console of "${row.name}"\n${power.console()}\n`)
    throw error
  } finally {
    await power.stop()
  }
}

interface Boot {
  readonly mac: string
  readonly poweredOn: Date
  /** Seconds. */
  readonly processor: number
}

async function check(t: Test, row: Row, { served }: Site, { mac, poweredOn, processor }: Boot): Promise<void> {
  const machines = await ask<Machine[]>(served, '/api/v1/machines')
  t.match(machines, [{ macs: [mac], state: 'installing', name: 'node-1' }], 'one machine')
  // What the relay calls the interface that heard the machine, in option 82.
  const port = { switch: far.gateway, port: 'br0', relay: far.gateway }
  if (row.neighbour === 'relay') t.match(machines[0]!.switchPort, port)
  const events = await ask<TimelineEvent[]>(served, `/api/v1/events?machine=${machines[0]!.id}&limit=1000`)
  const booted = events.findLast(({ type }) => type === 'boot.booted')
  const seconds = (Date.parse(booted?.at ?? '') - poweredOn.getTime()) / 1000
  // To stderr: for whoever looks on, and no part of what is asserted.
  const figures = `${seconds.toFixed(1).padStart(5)} s, ${processor.toFixed(1).padStart(4)} s of processor`
  process.stderr.write(`${figures}  ${row.name}\n`)
  t.same(chainOf(events), row.chain)
  const warnings = events.filter(({ level }) => level === 'warning').map(({ message }) => message)
  t.same(warnings, [], 'nothing for anybody to look at')
  const told = events.map(({ at, type, message }) => `${at} ${type} ${message}\n`)
  if (!t.passing()) process.stderr.write(`--- timeline of "${row.name}"\n${told.join('')}`)
}

/** What the timeline tells, as the table writes it. An offer that is taken up says the same as its ACK. */
function chainOf(events: readonly TimelineEvent[]): readonly string[] {
  const steps = events.flatMap(({ type, detail }) => {
    const { kind, file, name, platform, arch, secureBoot } = detail
    switch (type) {
      case 'dhcp.request':
        return ['address of another server']
      case 'dhcp.offer':
      case 'dhcp.ack':
        return [`${String(kind)}: ${pathOf(String(file))}`]
      case 'tftp.sent':
        return [`tftp: ${String(name)}`]
      case 'boot.script':
        return ['script']
      case 'boot.booted':
        return [`booted: ${String(platform)} ${String(arch)}${secureBoot === true ? ', Secure Boot' : ''}`]
      default:
        return []
    }
  })
  return steps.filter((step, index) => step !== steps[index - 1])
}

/** A URL without our address; https is worth a word. */
function pathOf(file: string): string {
  return file.replace(/^(https?):\/\/[^/]+/, (_, scheme: string) => (scheme === 'https' ? 'https ' : ''))
}
