// Reads the snapshot that hardware labels are made of, from /sys, /proc and /etc/os-release below a root, and a little
// from systeminformation (only on a real machine, each call with a time limit; never getAllData, which calls out). A
// file that cannot be read is a fact that is not known, never a failure: sysfs answers EINVAL for the speed of a link
// that is down.

import { readdir, readFile, realpath } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { labelsOf } from './labels.ts'
import type { Disk, Net, PciDevice, Snapshot, UsbDevice } from './snapshot.ts'
import { kernelOptions } from './system.ts'

/** Disks and cables change seldom, and each look opens some hundred files. */
const keptMs = 60 * 60_000
const askTimeoutMs = 10_000
/** More devices of a kind than any machine has; a bound for a broken or hostile one. */
const devicesMax = 1024

export function createHardware(root: string, failed: (error: unknown) => void) {
  let kept: { labels: Readonly<Record<string, string>>; at: number } | null = null
  return async (): Promise<Readonly<Record<string, string>>> => {
    if (kept !== null && Date.now() - kept.at < keptMs) return kept.labels
    const dimms = root === '/' ? await askDimms(failed) : null
    kept = { labels: labelsOf({ ...(await readSnapshot(root)), dimms }), at: Date.now() }
    return kept.labels
  }
}

export async function readSnapshot(root: string): Promise<Snapshot> {
  const at = (path: string) => join(root, path)
  const kernelRelease = await read(at('/proc/sys/kernel/osrelease'))
  return {
    cpuinfo: (await read(at('/proc/cpuinfo'))) ?? '',
    cpus: await each(at('/sys/devices/system/cpu'), /^cpu\d+$/, async path => ({
      siblings: await read(join(path, 'topology/thread_siblings_list')),
      socket: await read(join(path, 'topology/physical_package_id'))
    })),
    kernelRelease,
    kernelConfig: await readKernelConfig(root, kernelRelease ?? ''),
    selinux: await read(at('/sys/fs/selinux/enforce')),
    osRelease: (await read(at('/etc/os-release'))) ?? '',
    meminfo: (await read(at('/proc/meminfo'))) ?? '',
    swaps: (await read(at('/proc/swaps'))) ?? '',
    numaNodes: (await names(at('/sys/bus/node/devices'))).length,
    nonVolatile: await each(at('/sys/bus/nd/devices'), /./, async path => ({
      devtype: await read(join(path, 'devtype'))
    })),
    nets: await each(at('/sys/class/net'), /./, readNet),
    pci: await each(at('/sys/bus/pci/devices'), /./, readPci),
    usb: await each(at('/sys/bus/usb/devices'), /^[^:]+$/, async path => readUsb(at('/sys/bus/usb/devices'), path)),
    disks: await each(at('/sys/block'), /./, readDisk),
    parameters: await readParameters(root),
    biosVersion: await read(at('/sys/class/dmi/id/bios_version')),
    tpmMajor: await read(at('/sys/class/tpm/tpm0/tpm_version_major')),
    secureBoot: await readSecureBoot(root),
    dimms: null
  }
}

async function readNet(path: string): Promise<Net> {
  return {
    name: basename(path),
    physical: await exists(join(path, 'device')),
    speed: await read(join(path, 'speed')),
    sriovTotal: await read(join(path, 'device/sriov_totalvfs')),
    sriovConfigured: await read(join(path, 'device/sriov_numvfs'))
  }
}

async function readPci(path: string): Promise<PciDevice> {
  const [code, vendor, sriovTotal] = await Promise.all(
    ['class', 'vendor', 'sriov_totalvfs'].map(async name => read(join(path, name)))
  )
  return { class: code ?? null, vendor: vendor ?? null, sriovTotal: sriovTotal ?? null }
}

/** Interfaces lie beside their device: 1-2:1.0 is the first of 1-2. */
async function readUsb(folder: string, path: string): Promise<UsbDevice> {
  const interfaces = (await names(folder)).filter(name => name.startsWith(`${basename(path)}:`))
  const classes = await Promise.all(interfaces.map(async name => read(join(folder, name, 'bInterfaceClass'))))
  return {
    class: await read(join(path, 'bDeviceClass')),
    vendor: await read(join(path, 'idVendor')),
    product: await read(join(path, 'idProduct')),
    interfaceClasses: classes.filter(name => name !== null)
  }
}

async function readDisk(path: string): Promise<Disk> {
  return {
    name: basename(path),
    rotational: await read(join(path, 'queue/rotational')),
    removable: await read(join(path, 'removable')),
    physical: await exists(join(path, 'device'))
  }
}

async function readParameters(root: string): Promise<Readonly<Record<string, string>>> {
  const wanted = ['kvm_intel/tdx', 'kvm_amd/sev', 'kvm_amd/sev_es', 'kvm_amd/sev_snp']
  const pairs = await Promise.all(
    wanted.map(async name => [name, await read(join(root, '/sys/module', name.replace('/', '/parameters/')))] as const)
  )
  return Object.fromEntries(pairs.filter((pair): pair is [string, string] => pair[1] !== null))
}

/**
 * The first that can be read, in the order of the Node Feature Discovery. Only the lines that labels are made of are
 * kept.
 */
async function readKernelConfig(root: string, release: string): Promise<readonly string[]> {
  const plain = [
    `/usr/lib/modules/${release}/config`,
    `/usr/lib/ostree-boot/config-${release}`,
    `/usr/lib/kernel/config-${release}`,
    `/boot/config-${release}`
  ]
  const wanted = new Set(kernelOptions.flatMap(option => [`CONFIG_${option}=y`, `CONFIG_${option}=m`]))
  // Few kernels offer it: the files that packages install are next.
  const packed = await readFile(join(root, '/proc/config.gz')).catch(() => null)
  let text = packed === null ? null : await unpack(packed)
  for (const path of plain) text ??= await read(join(root, path))
  return (text ?? '').split('\n').filter(line => wanted.has(line))
}

async function unpack(packed: Buffer): Promise<string | null> {
  const { gunzip } = await import('node:zlib')
  // Damaged is as good as absent: the plain files are next.
  const text = await promisify(gunzip)(packed).catch(() => null)
  return text === null ? null : text.toString('utf8')
}

/** An EFI variable: four bytes of attributes, then its value (kernel: efivarfs). */
async function readSecureBoot(root: string): Promise<number | null> {
  const path = join(root, '/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c')
  const bytes = await readFile(path).catch(() => null) // BIOS has no such variable: not known is an answer
  return bytes === null ? null : (bytes[4] ?? null)
}

/** dmidecode's list of memory modules; null without dmidecode, when systeminformation makes one up from the total. */
async function askDimms(failed: (error: unknown) => void): Promise<Snapshot['dimms']> {
  try {
    const { memLayout } = await import('systeminformation')
    const limit = AbortSignal.timeout(askTimeoutMs)
    const late = new Promise<never>((_, reject) => {
      limit.addEventListener('abort', () => reject(new Error('systeminformation took too long')))
    })
    const modules = await Promise.race([memLayout(), late])
    const real = modules.filter(({ type, size }) => type !== '' && type !== 'Empty' && size > 0)
    return real.length === 0 ? null : real.map(({ type, ecc }) => ({ type, ecc: ecc ?? null }))
  } catch (error) {
    failed(error)
    return null
  }
}

async function each<T>(folder: string, wanted: RegExp, look: (path: string) => Promise<T>): Promise<T[]> {
  const found = (await names(folder)).filter(name => wanted.test(name)).slice(0, devicesMax)
  const seen: T[] = []
  for (const name of found) seen.push(await look(join(folder, name)))
  return seen
}

// Every kernel and every board lacks some of these: what cannot be read is a fact that is not known, and gives no
// label.

async function names(folder: string): Promise<readonly string[]> {
  return (await readdir(folder).catch((): string[] => [])).toSorted((a, b) => (a < b ? -1 : 1))
}

/** A fact that this machine or its kernel does not offer is left out: no label is made of it. */
async function read(path: string): Promise<string | null> {
  const text = await readFile(path, 'utf8').catch(() => null)
  return text === null ? null : text.trim()
}

async function exists(path: string): Promise<boolean> {
  return realpath(path).then(
    () => true,
    () => false
  )
}
