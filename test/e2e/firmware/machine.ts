// One diskless machine of QEMU with real firmware, that boots from the network once. Emulated (TCG) whatever the host
// offers: the times are comparable, and /dev/kvm may be there and useless.

import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { addTap, type Background, type Namespace } from '../../lab/namespace.ts'
import { tail } from '../../lab/qemu.ts'
import { signatureList } from './signature-list.ts'
import type { Firmware } from './rows.ts'

export const ovmf = '/usr/share/OVMF'
export const aavmf = '/usr/share/AAVMF'

export interface Power {
  readonly poweredOn: Date
  /**
   * Waits until the guest says that its report was taken, and returns the seconds of processor time that QEMU took: what
   * a busy host does not change. Throws when the guest never says so.
   */
  booted(deadlineMs: number): Promise<number>
  console(): string
  stop(): Promise<void>
}

export interface Board {
  readonly firmware: Firmware
  readonly mac: string
  /** Folder for NVRAM and logs. */
  readonly folder: string
  /** pxe-virtio.rom of the built images. */
  readonly recentRom: string
  /** The file (PEM) of the authority that HTTPS boot is to trust. */
  readonly authority: string | null
}

export async function powerOn(namespace: Namespace, board: Board, now: () => Date): Promise<Power> {
  await addTap(namespace, 'guest')
  const serial = join(board.folder, 'console')
  writeFileSync(serial, '')
  const text = (): string => readFileSync(serial, 'latin1')
  const poweredOn = now()
  const { program, args } = machineOf(board)
  const log = { log: join(board.folder, 'qemu.log') }
  const qemu = namespace.start('qemu', program, [...args, ...commonOf(board, serial)], log)
  return {
    poweredOn,
    console: () => tail(text(), 60),
    booted: deadlineMs => reported(qemu, text, deadlineMs),
    stop: () => qemu.stop('SIGKILL')
  }
}

const LOOK_EVERY_MS = 200

async function reported(qemu: Background, text: () => string, deadlineMs: number): Promise<number> {
  const expired = AbortSignal.timeout(deadlineMs)
  const ended = qemu.ended.then(status => `QEMU ended (${status}) before the report: ${qemu.output()}`)
  let used = 0
  while (!/LAB up=\S+ booted/.test(text())) {
    used = processorSeconds(qemu.pid) ?? used
    const failed = /LAB up=\S+ FAIL.*/.exec(text())
    if (failed !== null) throw new Error(failed[0])
    if (expired.aborted) throw new Error(`no report in ${deadlineMs / 1000} s`)
    const over = await Promise.race([ended, delay(LOOK_EVERY_MS, null)])
    if (over !== null && !/LAB up=\S+ booted/.test(text())) throw new Error(over)
  }
  return used
}

/** proc_pid_stat(5): fields 14 and 15, in ticks of 10 ms; null when it has ended. */
function processorSeconds(pid: number): number | null {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return null // a question, not a failure
  }
}

function commonOf({ firmware, mac }: Board, serial: string): string[] {
  const uuid = `5afe0004-0000-4000-8000-${mac.replaceAll(':', '')}`
  return [
    '-accel tcg,thread=multi -smp 1 -display none -monitor none -nodefaults -no-reboot'.split(' '),
    ['-uuid', uuid, '-smbios', `type=1,manufacturer=Slipway Lab,product=${firmware},serial=LAB-${mac.slice(-2)}`],
    ['-serial', `file:${serial}`, '-netdev', 'tap,id=n0,ifname=guest,script=no,downscript=no']
  ].flat()
}

interface Qemu {
  readonly program: string
  readonly args: readonly string[]
}

function machineOf(board: Board): Qemu {
  const { firmware, recentRom } = board
  const card = (more: string): string[] => ['-device', `virtio-net-pci,netdev=n0,mac=${board.mac},bootindex=1${more}`]
  // An empty romfile leaves the network to the firmware's own stack; without one QEMU's card brings its iPXE of 2019.
  const own = card(',romfile=')
  const blob = (name: string, value: string): string[] => ['-fw_cfg', `name=${name},${value}`]
  const httpOnly = ['IPv4PXESupport', 'IPv6PXESupport'].flatMap(name => blob(`opt/org.tianocore/${name}`, 'string=n'))
  switch (firmware) {
    case 'bios':
      return pc(card(''))
    case 'bios-recent-rom':
      // SeaBIOS starts a ROM for exactly this device: a virtio card of the modern kind. QEMU patches only its own ROM.
      return pc(card(`,disable-legacy=on,romfile=${recentRom}`))
    case 'uefi':
      return q35(board, own)
    case 'uefi-rom':
      return q35(board, card(''))
    case 'uefi-http':
      return q35(board, [...own, ...httpOnly])
    case 'uefi-https': {
      const trusted = join(board.folder, 'cacerts')
      writeFileSync(trusted, signatureList(board.authority === null ? [] : [readFileSync(board.authority, 'utf8')]))
      return q35(board, [...own, ...httpOnly, ...blob('etc/edk2/https/cacerts', `file=${trusted}`)])
    }
    case 'secure':
      return secure(board, own)
    case 'secure-http':
      return secure(board, [...own, ...httpOnly])
    case 'arm64':
      return virt(board, own)
    case 'arm64-http':
      return virt(board, [...own, ...httpOnly])
  }
}

function pc(card: readonly string[]): Qemu {
  return x86(['-machine', 'pc,graphics=off', '-m', '256', '-boot', 'n', ...card])
}

function q35(board: Board, more: readonly string[]): Qemu {
  const flashes = flash(board, join(ovmf, 'OVMF_CODE_4M.fd'), join(ovmf, 'OVMF_VARS_4M.fd'))
  return x86(['-machine', 'q35', '-m', '512', ...flashes, ...more])
}

/** With Microsoft's keys enrolled, and variables that only firmware may write. */
function secure(board: Board, more: readonly string[]): Qemu {
  const flashes = flash(board, join(ovmf, 'OVMF_CODE_4M.secboot.fd'), join(ovmf, 'OVMF_VARS_4M.ms.fd'))
  const locked = ['-machine', 'q35,smm=on', '-global', 'driver=cfi.pflash01,property=secure,value=on']
  return x86([...locked, '-m', '512', ...flashes, ...more])
}

function x86(args: readonly string[]): Qemu {
  return { program: 'qemu-system-x86_64', args: ['-cpu', 'qemu64', ...args] }
}

function virt(board: Board, more: readonly string[]): Qemu {
  const flashes = flash(board, join(aavmf, 'AAVMF_CODE.fd'), join(aavmf, 'AAVMF_VARS.fd'))
  const args = ['-machine', 'virt', '-cpu', 'cortex-a57', '-m', '512', ...flashes, ...more]
  return { program: 'qemu-system-aarch64', args }
}

function flash({ folder }: Board, code: string, variables: string): string[] {
  const own = join(folder, 'vars')
  copyFileSync(variables, own)
  return [
    ['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${code}`],
    ['-drive', `if=pflash,unit=1,format=raw,file=${own}`]
  ].flat()
}
