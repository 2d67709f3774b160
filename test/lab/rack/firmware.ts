// What happens between the power button and the operating system: firmware takes an address and a boot program by
// DHCP and TFTP, that program (iPXE, simulated by ipxe.ts) takes its address again and runs the server's script.
// Every packet is real; the boot program is fetched whole and then not run.

import type { Ports } from '../documents.ts'
import { type Asker, requestAddress } from '../dhcp-client.ts'
import { fetchFile, fetchSize } from '../tftp-client.ts'
import { get, pause } from './http.ts'
import { type Outcome, runIpxe } from './ipxe.ts'
import type { MachineSpec } from './spec.ts'

export interface Netboot {
  readonly spec: MachineSpec
  readonly ports: Ports
  readonly signal: AbortSignal
  /** Whether the machine's disk holds a system. */
  readonly diskBoots: boolean
  /** What stands on the machine's screen. */
  readonly console: (line: string) => void
  readonly stage: (stage: 'power-on' | 'address' | 'boot program' | 'boot script' | 'waiting', detail: string) => void
  /** The address, as soon as the machine has one. */
  readonly addressed: (address: string) => void
}

/** A lab's seconds at a boot screen are shorter than a rack's. */
const SLEEP_SHARE = 0.2
/** What the first firmware does with the boot program it is given is to ask for its size and abort. */
const BLOCK_SIZE = 1468

/** Boots once from the network. Rejects with what a person would read on the screen when it does not work out. */
export async function netboot(boot: Netboot): Promise<{ address: string; outcome: Outcome }> {
  const { spec, console, stage } = boot
  stage('power-on', `${spec.firmware === 'bios' ? 'BIOS' : 'UEFI'} starts from the network`)
  const first = await takeAddress(boot, firmwareOf(spec))
  boot.addressed(first.address)
  stage('address', `has ${first.address}`)
  if (first.bootFile === null) throw new Error('PXE-E55: the DHCP answer names no boot file')
  const size = await loadProgram(boot, first.address, first.nextServer, first.bootFile)
  console(`${first.bootFile}: ${size} bytes by TFTP from ${first.nextServer}`)
  stage('boot program', `${first.bootFile} by TFTP`)
  const second = await takeAddress(boot, ipxeOf(spec))
  boot.addressed(second.address)
  if (second.bootFile === null || !second.bootFile.startsWith('http')) {
    throw new Error(`iPXE: nothing to boot (${second.bootFile ?? 'no file name'})`)
  }
  stage('boot script', second.bootFile)
  const outcome = await runIpxe(second.bootFile, machineOf(boot, second.address))
  return { address: second.address, outcome }
}

function firmwareOf({ firmware, arch }: MachineSpec): Asker {
  if (firmware === 'bios') return 'bios-rom-2019'
  return arch === 'arm64' ? 'arm64-pxe' : 'uefi-pxe'
}

function ipxeOf({ firmware, arch }: MachineSpec): Asker {
  if (firmware === 'bios') return 'bios-ipxe'
  return arch === 'arm64' ? 'arm64-ipxe' : 'uefi-ipxe'
}

async function takeAddress({ spec, ports, signal }: Netboot, asker: Asker) {
  return await requestAddress({
    mac: spec.mac,
    asker,
    uuid: spec.uuid,
    serverPort: ports.dhcpServer,
    clientPort: ports.dhcpClient,
    timeoutMs: 1_000,
    attempts: 15,
    signal
  })
}

async function loadProgram({ spec, ports, signal }: Netboot, address: string, server: string, name: string) {
  if (name.startsWith('http')) {
    const got = await get(name, { address, userAgent: 'UefiHttpBoot/1.0', signal })
    if (got.status !== 200) throw new Error(`HTTP boot of ${name}: ${got.status}`)
    return got.body.length
  }
  const wanted = { server, port: ports.tftp, name, localAddress: address, blockSize: BLOCK_SIZE, signal }
  if (spec.firmware === 'uefi') await fetchSize(wanted)
  const program = await fetchFile({ ...wanted, ...(spec.firmware === 'uefi' && { windowSize: 4 }) })
  return program.length
}

/** The machine as its iPXE sees it. */
function machineOf(boot: Netboot, address: string) {
  const { spec, signal, diskBoots, console, stage } = boot
  const bios = spec.firmware === 'bios'
  return {
    settings: {
      mac: spec.mac,
      ip: address,
      uuid: spec.uuid,
      serial: spec.serial,
      manufacturer: spec.manufacturer,
      product: spec.product,
      asset: spec.asset,
      buildarch: bios ? 'i386' : spec.arch,
      platform: bios ? 'pcbios' : 'efi',
      version: '1.21.1+ (simulated)'
    },
    bootable: (drive: string) => diskBoots && drive === (bios ? '0x80' : '0'),
    fetch: async (url: string) => {
      try {
        const got = await get(url, { address, userAgent: 'iPXE/1.21.1+ (simulated)', signal })
        if (got.status === 200) return { ok: true as const, body: got.body }
        return { ok: false as const, reason: `HTTP ${got.status}` }
      } catch (error) {
        signal.throwIfAborted()
        return { ok: false as const, reason: (error as Error).message }
      }
    },
    sleep: async (seconds: number) => await pause(seconds * 1_000 * SLEEP_SHARE, signal),
    console: (line: string) => {
      console(line)
      const waits = /^Slipway: this machine waits: (.*)$/.exec(line)
      if (waits !== null) stage('waiting', waits[1]!)
    }
  }
}
