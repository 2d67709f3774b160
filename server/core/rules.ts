// Which profile does a machine get, may it go on without an operator, and what is it called?

import type { Rule, RuleMatch } from '../contract/document.ts'
import type { Hardware, SwitchPort } from '../contract/machine.ts'

export interface Subject {
  readonly id: string
  readonly macs: readonly string[]
  readonly hardware: Hardware
  readonly switchPort: SwitchPort | null
}

/** The first rule that matches, by priority (highest first), then by name; null when none does. */
export function matchRule(rules: readonly Rule[], subject: Subject): Rule | null {
  const ordered = rules.toSorted(
    (a, b) => (b.spec.priority ?? 0) - (a.spec.priority ?? 0) || (a.metadata.name < b.metadata.name ? -1 : 1)
  )
  return ordered.find(rule => matches(rule.spec.match, subject)) ?? null
}

function matches(match: RuleMatch, { macs, hardware, switchPort: plug }: Subject): boolean {
  const { mac, arch, platform, switchPort, ...texts } = match
  if (switchPort !== undefined && (plug === null || !like(switchPort, `${plug.switch}/${plug.port}`))) return false
  if (mac !== undefined && !macs.some(own => like(mac, own))) return false
  if (arch !== undefined && arch !== hardware.arch) return false
  if (platform !== undefined && platform !== hardware.platform) return false
  return Object.entries(texts).every(([key, pattern]) => {
    const value = hardware[key as keyof typeof texts]
    return value !== null && like(pattern, value)
  })
}

/** Compares whole texts, ignoring case; * stands for any run of characters. Linear: no regular expression is built. */
export function like(pattern: string, text: string): boolean {
  const parts = pattern.toLowerCase().split('*')
  const value = text.toLowerCase()
  const first = parts[0]!
  const last = parts.at(-1)!
  if (parts.length === 1) return value === first
  if (!value.startsWith(first) || !value.endsWith(last) || value.length < first.length + last.length) return false
  let at = first.length
  for (const part of parts.slice(1, -1)) {
    const found = value.indexOf(part, at)
    if (found === -1) return false
    at = found + part.length
  }
  return at <= value.length - last.length
}

/**
 * The name a rule gives: placeholders filled, what a DNS label cannot hold turned into dashes, at most 63 characters.
 */
export function nameFor(rule: Rule, subject: Subject, number: number): string {
  const values: Record<string, string> = {
    number: String(number),
    serial: subject.hardware.serial ?? subject.id,
    mac: (subject.macs[0] ?? '').replaceAll(':', ''),
    id: subject.id
  }
  const filled = rule.spec.name.replaceAll(/\{([a-z]+)\}/g, (whole, key: string) => values[key] ?? whole)
  const name = filled
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .slice(0, 63)
    .replaceAll(/^-+|-+$/g, '')
  return name === '' ? subject.id : name
}

/** The place in the rack that a document or rule gives; null while the switch port that it asks for is unknown. */
export function positionFor(pattern: string, plug: SwitchPort | null): string | null {
  if (!pattern.includes('{')) return pattern
  return plug === null ? null : pattern.replaceAll('{switch}', () => plug.switch).replaceAll('{port}', () => plug.port)
}
