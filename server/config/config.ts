// slipway.yaml: from whatever was read to a checked, frozen Config; every problem at once, each with its key.
// Pure: reading the file is files.ts, cross-checks are checks.ts. A secret is a path, never a value.

import { checkMeaning } from './checks.ts'
import type { Problem } from '../core/fault.ts'
import { compileSchema } from '../core/schema.ts'
import { type Config, RawConfig, type RawSubnet, type SubnetConfig } from './schema.ts'

const defaults = {
  ports: { server: 67, client: 68, proxy: 4011 },
  tftp: 69,
  boot: 8080,
  bootTls: 8444,
  control: 8443,
  lease: '1h'
}

const checkShape = compileSchema(RawConfig)

/** The configuration, frozen through and through; or every problem of it. */
export function checkConfig(raw: unknown): { config: Config } | { problems: readonly Problem[] } {
  const shape = checkShape(raw)
  if (shape.length > 0) return { problems: [...shape, ...checkSoundParts(raw, shape)] }
  const config = fill(raw as RawConfig)
  const problems = checkMeaning(config, raw as RawConfig)
  return problems.length > 0 ? { problems } : { config: freeze(config) }
}

/** What the parts that have the right shape get wrong: all is said at once, not one layer a run. */
function checkSoundParts(raw: unknown, shape: readonly Problem[]): readonly Problem[] {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) return []
  const partOf = ({ path }: Problem): string => /^[^.[]*/.exec(path)![0]
  const broken = new Set(shape.map(partOf))
  const sound = Object.fromEntries(Object.entries(raw).filter(([key]) => !broken.has(key)))
  const parts = { data: '/var/lib/slipway', interfaces: ['lo'], ...sound } as RawConfig
  return checkMeaning(fill(parts), parts).filter(problem => !broken.has(partOf(problem)))
}

function fill(raw: RawConfig): Config {
  return {
    data: raw.data,
    user: raw.user ?? null,
    database: raw.database ?? null,
    interfaces: [...raw.interfaces],
    dhcp: {
      mode: raw.dhcp?.mode ?? 'proxy',
      ports: { ...defaults.ports, ...raw.dhcp?.ports },
      subnets: (raw.dhcp?.subnets ?? []).map(fillSubnet),
      probe: raw.dhcp?.probe ?? true,
      advertise: raw.dhcp?.advertise ?? true,
      leases: { durability: raw.dhcp?.leases?.durability ?? 'committed' }
    },
    tftp: { port: raw.tftp?.port ?? defaults.tftp },
    boot: {
      port: raw.boot?.port ?? defaults.boot,
      url: withoutSlash(raw.boot?.url ?? null),
      loader: raw.boot?.loader ?? 'ipxe',
      tls: raw.boot?.tls
        ? { port: raw.boot.tls.port ?? defaults.bootTls, url: withoutSlash(raw.boot.tls.url ?? null) }
        : null
    },
    control: {
      port: raw.control?.port ?? defaults.control,
      url: withoutSlash(raw.control?.url ?? null),
      certificate: raw.control?.certificate ?? null,
      key: raw.control?.key ?? null
    },
    cluster: raw.cluster ? { ...raw.cluster } : null,
    log: { level: raw.log?.level ?? 'info' }
  }
}

/** What cannot be read becomes '' or NaN here; checks.ts says so. */
function fillSubnet({ subnet, pool, gateway = null, dns = [], domain = null, lease }: RawSubnet): SubnetConfig {
  const [first = '', last = ''] = pool.split('-').map(part => part.trim())
  return {
    subnet,
    pool: { first, last },
    gateway,
    dns: [...dns],
    domain,
    leaseSeconds: seconds(lease ?? defaults.lease)
  }
}

/** 90s, 30m, 1h, 7d. */
function seconds(text: string): number {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 }
  return unit === undefined ? Number.NaN : Number(count) * units[unit]!
}

function withoutSlash(url: string | null): string | null {
  return url === null ? null : url.replace(/\/$/, '')
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) for (const part of Object.values(value)) freeze(part)
  return Object.freeze(value)
}
