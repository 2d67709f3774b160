// All hardware labels of a snapshot, as valid label keys and values (apimachinery, util/validation: IsValidLabelValue).

import { HARDWARE_PREFIX, NFD_PREFIX } from '../../server/contract/names.ts'
import { cpuFeatures } from './cpu.ts'
import { deviceFeatures } from './devices.ts'
import type { Features } from './features.ts'
import { ownFacts } from './own.ts'
import type { Snapshot } from './snapshot.ts'
import { systemFeatures } from './system.ts'

/** Far more than any machine has, and what a Node still bears: a hostile USB hub must not fill it. */
const labelsMax = 150

export function labelsOf(snapshot: Snapshot): Features {
  const features = { ...cpuFeatures(snapshot), ...systemFeatures(snapshot), ...deviceFeatures(snapshot) }
  const labels = { ...prefixed(NFD_PREFIX, features), ...prefixed(HARDWARE_PREFIX, ownFacts(snapshot)) }
  return Object.fromEntries(Object.entries(labels).slice(0, labelsMax))
}

function prefixed(prefix: string, features: Features): Features {
  const pairs = Object.entries(features)
    .map(([name, value]) => [name, labelValue(value)] as const)
    .filter(([name, value]) => /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(name) && value !== '')
  return Object.fromEntries(pairs.map(([name, value]) => [`${prefix}${name}`, value]))
}

/** What a label cannot hold becomes an underscore, as the Node Feature Discovery does it. */
export function labelValue(text: string): string {
  return text
    .trim()
    .replaceAll(/[^-A-Za-z0-9_.]/g, '_')
    .replace(/^[-_.]+/, '')
    .slice(0, 63)
    .replace(/[-_.]+$/, '')
}
