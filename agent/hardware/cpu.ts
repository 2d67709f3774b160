// Features of the processor, named and valued as the Node Feature Discovery does (its docs/usage/features.md,
// source/cpu). Left out: what needs the CPUID instruction (cpuid.*, hypervisor, SGX) and the governors, which change by
// themselves.

import { type Features, flag, present } from './features.ts'
import type { Snapshot } from './snapshot.ts'

/** Vendor names of klauspost/cpuid by what the kernel prints. */
const x86Vendors: Record<string, string> = {
  GenuineIntel: 'Intel',
  AuthenticAMD: 'AMD',
  HygonGenuine: 'Hygon',
  CentaurHauls: 'VIA'
}
const armVendors: Record<string, string> = {
  '0x41': 'ARM',
  '0x42': 'Broadcom',
  '0x43': 'Cavium',
  '0x46': 'Fujitsu',
  '0x4e': 'NVIDIA',
  '0x51': 'Qualcomm',
  '0x56': 'Marvell',
  '0xc0': 'Ampere'
}

export function cpuFeatures({ cpuinfo, cpus, parameters }: Snapshot): Features {
  const is = (name: string) => flag(/^[Y1]$/i.test(parameters[name]?.trim() ?? ''))
  return present({
    ...modelOf(cpuinfo),
    'cpu-hardware_multithreading': cpus.length === 0 ? null : String(cpus.some(({ siblings }) => isShared(siblings))),
    'cpu-security.tdx.enabled': is('kvm_intel/tdx'),
    'cpu-security.sev.enabled': is('kvm_amd/sev'),
    'cpu-security.sev.es.enabled': is('kvm_amd/sev_es'),
    'cpu-security.sev.snp.enabled': is('kvm_amd/sev_snp')
  })
}

function modelOf(cpuinfo: string): Readonly<Record<string, string | null>> {
  const x86 = x86Vendors[field(cpuinfo, 'vendor_id') ?? '']
  const arm = armVendors[field(cpuinfo, 'CPU implementer')?.toLowerCase() ?? '']
  return {
    'cpu-model.vendor_id': x86 ?? arm ?? null,
    'cpu-model.family': x86 === undefined ? null : field(cpuinfo, 'cpu family'),
    'cpu-model.id': x86 === undefined ? null : field(cpuinfo, 'model')
  }
}

/** The first processor's: /proc/cpuinfo repeats them. */
function field(cpuinfo: string, name: string): string | null {
  const line = cpuinfo.split('\n').find(text => text.split(':')[0]!.trim() === name)
  return line === undefined ? null : line.slice(line.indexOf(':') + 1).trim()
}

/** thread_siblings_list: 0,32 or 0-1 when a core has several threads. */
function isShared(siblings: string | null): boolean {
  return /[,-]/.test(siblings ?? '')
}
