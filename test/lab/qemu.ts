// A blank machine of QEMU on the lab's bridge: real firmware that boots from the network first and from its disk next,
// BIOS (SeaBIOS with QEMU's iPXE ROM) or UEFI (OVMF's own PXE). TCG unless LAB_ACCEL says otherwise: /dev/kvm may be
// there and useless. The guest may reboot as often as it likes; it lives until stop().

import { appendFileSync, closeSync, copyFileSync, ftruncateSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { addTap, type Background, type Namespace } from './namespace.ts'

export type Firmware = 'bios' | 'uefi'

export interface GuestSpec {
  readonly name: string
  readonly firmware: Firmware
  readonly mac: string
  readonly uuid: string
  readonly serial: string
  /** Folder for disk, NVRAM and logs. */
  readonly folder: string
  readonly memoryMiB?: number
}

export interface Guest {
  readonly spec: GuestSpec
  readonly poweredOn: Date
  /** The serial console so far: firmware, boot loader, kernel, and what the lab's scripts say. */
  console(): string
  /** Waits until the console matches, from `since` (a length of console text) on. */
  until(pattern: RegExp, timeoutMs: number, since?: number): Promise<RegExpExecArray>
  /** Runs a script as root through the lab's shell at `address`. */
  shell(address: string, script: string, timeoutMs?: number): Promise<{ status: number; output: string }>
  stop(): Promise<void>
}

const DISK_BYTES = 6 * 1024 ** 3
const MEMORY_MIB = 2048
const SHELL_TIMEOUT_MS = 120_000
const LOOK_EVERY_MS = 200

export async function powerOn(namespace: Namespace, spec: GuestSpec, now: () => Date): Promise<Guest> {
  const tap = `t-${spec.name}`
  await addTap(namespace, tap)
  const disk = join(spec.folder, `${spec.name}.disk`)
  const fd = openSync(disk, 'w')
  ftruncateSync(fd, DISK_BYTES)
  closeSync(fd)
  const serial = join(spec.folder, `${spec.name}.console`)
  writeFileSync(serial, '')

  const log = join(spec.folder, `${spec.name}.qemu`)
  const poweredOn = now()
  const qemu = namespace.start(spec.name, 'qemu-system-x86_64', arguments_(spec, tap, disk, serial), { log })
  const text = (): string => readFileSync(serial, 'latin1')
  return {
    spec,
    poweredOn,
    console: text,
    until: (pattern, timeoutMs, since = 0) => until(qemu, text, pattern, timeoutMs, since),
    shell: (address, script, timeoutMs = SHELL_TIMEOUT_MS) => shell(namespace, address, script, timeoutMs),
    async stop() {
      await qemu.stop('SIGTERM')
      appendFileSync(log, 'stopped\n')
      await namespace.run('ip', ['link', 'del', tap])
    }
  }
}

function arguments_(spec: GuestSpec, tap: string, disk: string, serial: string): string[] {
  const accelerator = process.env.LAB_ACCEL === 'kvm' ? 'kvm' : 'tcg,thread=multi'
  const common = `-accel ${accelerator} -cpu ${process.env.LAB_ACCEL === 'kvm' ? 'host' : 'qemu64'} -smp 2`
  const plain = `-display none -monitor none -nodefaults -device virtio-rng-pci -m ${spec.memoryMiB ?? MEMORY_MIB}`
  return [
    common.split(' '),
    plain.split(' '),
    firmware(spec),
    ['-uuid', spec.uuid],
    ['-smbios', `type=1,manufacturer=Slipway Lab,product=QEMU ${spec.firmware},serial=${spec.serial}`],
    ['-smbios', `type=3,asset=lab-${spec.name}`],
    ['-serial', `file:${serial}`],
    ['-netdev', `tap,id=n0,ifname=${tap},script=no,downscript=no`],
    // romfile= leaves UEFI to OVMF's own PXE; with BIOS QEMU's iPXE ROM is what boots from the network.
    ['-device', `virtio-net-pci,netdev=n0,mac=${spec.mac},bootindex=1${spec.firmware === 'uefi' ? ',romfile=' : ''}`],
    // Nothing here survives the test, and need not.
    ['-drive', `if=none,id=d0,file=${disk},format=raw,cache=unsafe,discard=unmap`],
    ['-device', `virtio-blk-pci,drive=d0,serial=LABDISK1,bootindex=2`]
  ].flat()
}

function firmware(spec: GuestSpec): string[] {
  if (spec.firmware === 'bios') return ['-machine', 'pc,graphics=off']
  const variables = join(spec.folder, `${spec.name}.vars`)
  copyFileSync('/usr/share/OVMF/OVMF_VARS_4M.fd', variables)
  return [
    ['-machine', 'q35,graphics=off'],
    ['-drive', 'if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd'],
    ['-drive', `if=pflash,unit=1,format=raw,file=${variables}`]
  ].flat()
}

async function until(
  qemu: Background,
  text: () => string,
  pattern: RegExp,
  timeoutMs: number,
  since: number
): Promise<RegExpExecArray> {
  const expired = AbortSignal.timeout(timeoutMs)
  const ended = qemu.ended.then(status => `QEMU ended (${status}): ${qemu.output()}`)
  for (;;) {
    const found = pattern.exec(text().slice(since))
    if (found !== null) return found
    const failed = /LAB up=\S+ FAIL.*/.exec(text().slice(since))
    if (failed !== null) throw new Error(`${failed[0]}\n${tail(text())}`)
    if (expired.aborted) throw new Error(`no ${String(pattern)} on the console in ${timeoutMs} ms:\n${tail(text())}`)
    const over = await Promise.race([ended, delay(LOOK_EVERY_MS, null)])
    if (over !== null) throw new Error(over)
  }
}

/** The end of a console text, without what terminals would act upon. */
export function tail(text: string, lines = 40): string {
  // oxlint-disable-next-line no-control-regex -- escape sequences of firmware are what is taken out
  const clean = text.replace(/\x1b\[[0-9;?=]*[A-Za-z]/g, '').replace(/[^\n\x20-\x7e]/g, '')
  return clean.split('\n').filter(Boolean).slice(-lines).join('\n')
}

async function shell(
  namespace: Namespace,
  address: string,
  script: string,
  timeoutMs: number
): Promise<{ status: number; output: string }> {
  const seconds = String(Math.ceil(timeoutMs / 1000))
  const peer = `TCP:${address}:2222,connect-timeout=5`
  const ran = await namespace.run('socat', ['-t', seconds, '-T', seconds, '-', peer], { input: script, timeoutMs })
  const status = /\nLAB-STATUS=([0-9]+)\n*$/.exec(ran.stdout)
  if (status === null) return { status: 255, output: ran.stdout + ran.stderr }
  return { status: Number(status[1]), output: ran.stdout.slice(0, status.index) }
}
