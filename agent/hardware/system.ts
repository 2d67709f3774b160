// Features of kernel, memory and operating system, named and valued as the Node Feature Discovery does (source/kernel,
// source/memory, source/system).

import { type Features, flag, present } from './features.ts'
import type { Snapshot } from './snapshot.ts'

/** Options that the Node Feature Discovery labels by default. */
export const kernelOptions = ['NO_HZ', 'NO_HZ_IDLE', 'NO_HZ_FULL', 'PREEMPT']

export function systemFeatures(snapshot: Snapshot): Features {
  const { selinux, swaps, numaNodes, nonVolatile } = snapshot
  return present({
    ...kernelVersion(snapshot.kernelRelease),
    ...kernelConfig(snapshot.kernelConfig),
    'kernel-selinux.enabled': flag(selinux?.startsWith('1') === true),
    'memory-numa': flag(numaNodes > 1),
    'memory-nv.present': flag(nonVolatile.length > 0),
    'memory-nv.dax': flag(nonVolatile.some(({ devtype }) => devtype === 'nd_dax')),
    'memory-swap': flag(swaps.trim().split('\n').length > 1),
    ...osVersion(snapshot.osRelease)
  })
}

/** 5.14.0-570.el9.x86_64 is 5, 14 and 0. */
function kernelVersion(release: string | null): Readonly<Record<string, string | null>> {
  const parts = /^(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-.*)?$/.exec(release ?? '')
  return {
    'kernel-version.full': release,
    'kernel-version.major': parts?.[1] ?? null,
    'kernel-version.minor': parts?.[2] ?? null,
    'kernel-version.revision': parts?.[3] ?? null
  }
}

function kernelConfig(lines: readonly string[]): Readonly<Record<string, string | null>> {
  const on = (option: string) => lines.some(line => line === `CONFIG_${option}=y` || line === `CONFIG_${option}=m`)
  return Object.fromEntries(kernelOptions.map(option => [`kernel-config.${option}`, flag(on(option))]))
}

function osVersion(text: string): Readonly<Record<string, string | null>> {
  const { ID = null, VERSION_ID = null } = parseOsRelease(text)
  const parts = /^(\d+)(?:\.(\d+))?(?:\..*)?$/.exec(VERSION_ID ?? '')
  return {
    'system-os_release.ID': ID,
    'system-os_release.VERSION_ID': VERSION_ID,
    'system-os_release.VERSION_ID.major': parts?.[1] ?? null,
    'system-os_release.VERSION_ID.minor': parts?.[2] ?? null
  }
}

/** os-release(5): shell assignments, of which quotes are taken off and nothing is expanded. */
export function parseOsRelease(text: string): Readonly<Record<string, string>> {
  const pairs = text.split('\n').flatMap(line => {
    const match = /^([A-Z][A-Z0-9_]*)=(?:"(.*)"|'(.*)'|(.*))$/.exec(line.trim())
    return match === null ? [] : [[match[1]!, match[2] ?? match[3] ?? match[4] ?? ''] as const]
  })
  return Object.fromEntries(pairs)
}
