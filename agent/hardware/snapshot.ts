// What is read from the machine before anything is concluded from it: texts as the kernel gives them, null where there
// was nothing to read. hardware/files.ts fills it; labels are pure functions of it.

export interface Snapshot {
  readonly cpuinfo: string
  readonly cpus: ReadonlyArray<{ readonly siblings: string | null; readonly socket: string | null }>
  /** /proc/sys/kernel/osrelease */
  readonly kernelRelease: string | null
  /** Lines of the kernel's configuration that labels are made of. */
  readonly kernelConfig: readonly string[]
  readonly selinux: string | null
  readonly osRelease: string
  readonly meminfo: string
  readonly swaps: string
  readonly numaNodes: number
  readonly nonVolatile: ReadonlyArray<{ readonly devtype: string | null }>
  readonly nets: readonly Net[]
  readonly pci: readonly PciDevice[]
  readonly usb: readonly UsbDevice[]
  readonly disks: readonly Disk[]
  /** /sys/module/<module>/parameters/<name> by "module/name". */
  readonly parameters: Readonly<Record<string, string>>
  readonly biosVersion: string | null
  readonly tpmMajor: string | null
  /** The last byte of the EFI variable SecureBoot; null without EFI. */
  readonly secureBoot: number | null
  /** Of systeminformation; null where it was not asked. */
  readonly dimms: ReadonlyArray<{ readonly type: string; readonly ecc: boolean | null }> | null
}

export interface Net {
  readonly name: string
  readonly physical: boolean
  /** Mb/s; -1 or null when nobody knows. */
  readonly speed: string | null
  readonly sriovTotal: string | null
  readonly sriovConfigured: string | null
}

export interface PciDevice {
  /** 0x030200 */
  readonly class: string | null
  /** 0x10de */
  readonly vendor: string | null
  readonly sriovTotal: string | null
}

export interface UsbDevice {
  readonly class: string | null
  readonly vendor: string | null
  readonly product: string | null
  readonly interfaceClasses: readonly string[]
}

export interface Disk {
  readonly name: string
  readonly rotational: string | null
  readonly removable: string | null
  /** Whether a device is behind it: loop, zram and dm have none. */
  readonly physical: boolean
}
