// Facts under hw.slipway.dev/ that the Node Feature Discovery does not have: sizes and counts that schedulers and
// people ask for. Serial numbers and addresses are no labels.

import { isDisk } from './devices.ts'
import { type Features, flag, present } from './features.ts'
import type { Disk, Net, Snapshot } from './snapshot.ts'
import { parseOsRelease } from './system.ts'

export function ownFacts(snapshot: Snapshot): Features {
  const { meminfo, cpus, nets, disks, biosVersion, tpmMajor, secureBoot, dimms, osRelease } = snapshot
  const sockets = new Set(cpus.flatMap(({ socket }) => (socket === null ? [] : [socket])))
  const count = (kind: ReturnType<typeof kindOf>) => counted(disks.filter(isDisk).filter(disk => kindOf(disk) === kind))
  const { VARIANT_ID = null, OSTREE_VERSION = null } = parseOsRelease(osRelease)
  return present({
    'memory-total-gib': memoryGib(meminfo),
    'cpu-sockets': sockets.size === 0 ? null : String(sockets.size),
    'cpu-threads': counted(cpus),
    'nvme-count': count('nvme'),
    'ssd-count': count('ssd'),
    'hdd-count': count('hdd'),
    'nic-speed-max': fastest(nets),
    'bios-version': biosVersion,
    'secure-boot': flag(secureBoot === 1),
    tpm: tpmMajor === null ? null : ({ '1': '1.2', '2': '2.0' }[tpmMajor] ?? null),
    'dimm-count': dimms === null ? null : counted(dimms),
    'dimm-ecc': dimms === null || dimms.length === 0 ? null : flag(dimms.every(({ ecc }) => ecc === true)),
    'os-variant': VARIANT_ID,
    'ostree-version': OSTREE_VERSION
  })
}

/** What the kernel may use, rounded up: 64 GiB of memory show as 62.5 once firmware and crash kernel took theirs. */
function memoryGib(meminfo: string): string | null {
  const kib = /^MemTotal:\s+(\d+) kB/m.exec(meminfo)?.[1]
  return kib === undefined ? null : String(Math.ceil(Number(kib) / 1024 ** 2))
}

function kindOf({ name, rotational }: Disk): 'nvme' | 'ssd' | 'hdd' {
  if (name.startsWith('nvme')) return 'nvme'
  return rotational === '1' ? 'hdd' : 'ssd'
}

function counted(items: readonly unknown[]): string | null {
  return items.length === 0 ? null : String(items.length)
}

/** In the form 100m, 1g, 25g; links that are down say -1. */
function fastest(nets: readonly Net[]): string | null {
  const speeds = nets.filter(({ physical }) => physical).map(({ speed }) => Number(speed ?? -1))
  const most = Math.max(...speeds.filter(speed => speed > 0 && speed < 10_000_000), 0)
  if (most === 0) return null
  return most < 1000 ? `${most}m` : `${most / 1000}g`
}
