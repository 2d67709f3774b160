// The machines of the simulated rack: what each one's board says of itself, and the /sys, /proc and /etc that its
// operating system will show. Everything is made from the machine's number: two runs have the same rack.

export interface MachineSpec {
  readonly number: number
  /** Its place in the rack; the server does not know it, and gives a name of its own. */
  readonly name: string
  readonly firmware: 'bios' | 'uefi'
  readonly arch: 'x86_64' | 'arm64'
  readonly system: 'CentOS Stream 9' | 'CentOS Stream 10' | 'Fedora CoreOS'
  readonly role: 'control-plane' | 'worker'
  /** Somebody has to approve it. */
  readonly approve: 'auto' | 'manual'
  readonly mac: string
  readonly uuid: string
  readonly serial: string
  readonly manufacturer: string
  readonly product: string
  readonly asset: string
}

type Kind = Pick<MachineSpec, 'firmware' | 'arch' | 'system' | 'role' | 'approve'>

const controlPlane: Kind = {
  firmware: 'uefi',
  arch: 'x86_64',
  system: 'Fedora CoreOS',
  role: 'control-plane',
  approve: 'auto'
}
const workers: readonly Kind[] = [
  { firmware: 'bios', arch: 'x86_64', system: 'CentOS Stream 9', role: 'worker', approve: 'auto' },
  { firmware: 'uefi', arch: 'x86_64', system: 'CentOS Stream 10', role: 'worker', approve: 'auto' },
  { firmware: 'uefi', arch: 'arm64', system: 'Fedora CoreOS', role: 'worker', approve: 'auto' },
  { firmware: 'bios', arch: 'x86_64', system: 'Fedora CoreOS', role: 'worker', approve: 'auto' },
  { firmware: 'uefi', arch: 'x86_64', system: 'CentOS Stream 9', role: 'worker', approve: 'manual' }
]

/** What a vendor's board may well contain: quotes, a newline, an iPXE command. It must end up as text everywhere. */
const hostileAsset = "\"; ${reboot}\n<b>rack</b> '1'"

export const MANUFACTURER = 'Slipway Lab (simulated)'

/** One control plane and as many workers as asked for, of each kind in turn. */
export function rackOf(count: number): MachineSpec[] {
  return Array.from({ length: count }, (_, index) => {
    const kind = index === 0 ? controlPlane : workers[(index - 1) % workers.length]!
    const number = index + 1
    const hex = number.toString(16).padStart(4, '0')
    return {
      ...kind,
      number,
      name: `rack-${String(number).padStart(2, '0')}`,
      mac: `52:54:00:77:${hex.slice(0, 2)}:${hex.slice(2)}`,
      uuid: `77a1c0de-0000-4000-8000-00525400${hex}`,
      serial: `LAB-${hex.toUpperCase()}`,
      manufacturer: MANUFACTURER,
      product: productOf(kind),
      asset: number === 5 ? hostileAsset : `shelf ${number}`
    }
  })
}

function productOf({ role, system, approve }: Kind): string {
  if (role === 'control-plane') return 'Control Plane'
  return approve === 'manual' ? `Unknown Make (${system})` : `Worker (${system})`
}

const releases: Record<MachineSpec['system'], { release: string; kernel: string }> = {
  'CentOS Stream 9': {
    release: 'NAME="CentOS Stream"\nID="centos"\nVERSION_ID="9"\nPRETTY_NAME="CentOS Stream 9 (simulated)"\n',
    kernel: '5.14.0-570.el9'
  },
  'CentOS Stream 10': {
    release: 'NAME="CentOS Stream"\nID="centos"\nVERSION_ID="10"\nPRETTY_NAME="CentOS Stream 10 (simulated)"\n',
    kernel: '6.12.0-55.el10'
  },
  'Fedora CoreOS': {
    release:
      'NAME="Fedora Linux"\nID=fedora\nVERSION_ID=43\nVARIANT_ID=coreos\nPRETTY_NAME="Fedora CoreOS 43 (simulated)"\n',
    kernel: '6.17.5-300.fc43'
  }
}

export function kernelOf({ system, arch }: MachineSpec): string {
  return `${releases[system].kernel}.${arch === 'arm64' ? 'aarch64' : 'x86_64'}`
}

/** The files an installed machine shows, path to text: enough of /sys and /proc for its hardware labels. */
export function systemFiles(spec: MachineSpec): Record<string, string> {
  const disk = '/sys/block/vda'
  const nic = '/sys/class/net/eth0'
  const vga = '/sys/bus/pci/devices/0000:00:02.0'
  return {
    '/etc/os-release': releases[spec.system].release,
    '/etc/machine-id': `${spec.uuid.replaceAll('-', '')}\n`,
    '/proc/sys/kernel/osrelease': `${kernelOf(spec)}\n`,
    '/proc/sys/kernel/random/boot_id': `b007${spec.uuid.slice(4)}\n`,
    '/proc/cpuinfo': spec.arch === 'arm64' ? armCpu : x86Cpu,
    '/proc/meminfo': 'MemTotal:       16384000 kB\nMemFree:        12000000 kB\nMemAvailable:   15000000 kB\n',
    '/proc/swaps': 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n',
    '/proc/modules': 'overlay 200704 0 - Live 0x0000000000000000\n',
    '/sys/class/dmi/id/sys_vendor': `${spec.manufacturer}\n`,
    '/sys/class/dmi/id/product_name': `${spec.product}\n`,
    '/sys/class/dmi/id/product_uuid': `${spec.uuid}\n`,
    '/sys/class/dmi/id/product_serial': `${spec.serial}\n`,
    '/sys/class/dmi/id/bios_version': 'lab-1\n',
    ...(spec.firmware === 'uefi' && { '/sys/firmware/efi/fw_platform_size': '64\n' }),
    '/sys/devices/system/node/online': '0\n',
    '/sys/devices/system/cpu/online': '0-3\n',
    ...Object.fromEntries([0, 1, 2, 3].flatMap(cpuFiles)),
    [`${disk}/size`]: '209715200\n',
    [`${disk}/removable`]: '0\n',
    [`${disk}/queue/rotational`]: '0\n',
    [`${disk}/device/vendor`]: '0x1af4\n',
    [`${nic}/address`]: `${spec.mac}\n`,
    [`${nic}/operstate`]: 'up\n',
    [`${nic}/speed`]: '10000\n',
    [`${nic}/type`]: '1\n',
    [`${vga}/class`]: '0x030000\n',
    [`${vga}/vendor`]: '0x1234\n',
    [`${vga}/device`]: '0x1111\n'
  }
}

function cpuFiles(cpu: number): [string, string][] {
  const topology = `/sys/devices/system/cpu/cpu${cpu}/topology`
  return [
    [`${topology}/thread_siblings_list`, `${cpu < 2 ? '0-1' : '2-3'}\n`],
    [`${topology}/core_id`, `${Math.floor(cpu / 2)}\n`],
    [`${topology}/physical_package_id`, '0\n']
  ]
}

const x86Cpu = [0, 1, 2, 3]
  .map(
    cpu =>
      `processor\t: ${cpu}\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\n` +
      'model name\t: Simulated Xeon\nphysical id\t: 0\nsiblings\t: 4\ncpu cores\t: 2\n' +
      'flags\t\t: fpu sse sse2 ssse3 sse4_1 sse4_2 aes avx avx2 fma avx512f avx512vl hypervisor\n'
  )
  .join('\n')

const armCpu = [0, 1, 2, 3]
  .map(
    cpu =>
      `processor\t: ${cpu}\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd aes pmull sha1 sha2 crc32 atomics sve\n` +
      'CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x1\nCPU part\t: 0xd40\nCPU revision\t: 1\n'
  )
  .join('\n')

/** What iPXE says of a worker of this make: the query of its script's URL, as it writes it. */
export function workerQuery(mac: string, uuid: string, serial: string): string {
  const facts = { mac: mac.replaceAll(':', '-'), uuid, serial, manufacturer: MANUFACTURER }
  const board = { product: 'Worker (Fedora CoreOS)', asset: '', arch: 'x86_64', platform: 'efi' }
  return new URLSearchParams({ ...facts, ...board }).toString().replaceAll('+', '%20')
}
