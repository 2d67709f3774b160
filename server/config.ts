// slipway.yaml: from whatever was read to a checked, frozen Config; every problem at once, each with its key.
// Pure: reading the file is files.ts, cross-checks are config-checks.ts. A secret is a path, never a value.

import { type Static, Type } from 'typebox'
import { checkMeaning } from './config-checks.ts'
import type { Problem } from './core/fault.ts'
import { Loader } from './contract/document.ts'
import { compileSchema } from './core/schema.ts'

const strict = { additionalProperties: false }
const Port = Type.Integer({ minimum: 0, maximum: 65_535 })
const Path = Type.String({ minLength: 1, maxLength: 4096, pattern: '^[^\\u0000-\\u001f]+$', description: 'a path' })
const Address = Type.String({ format: 'ipv4' })
const nullable = <T extends ReturnType<typeof Type.String>>(schema: T) => Type.Union([schema, Type.Null()])
const Text = Type.String({ maxLength: 2048 })

const RawSubnet = Type.Object(
  {
    subnet: Type.String({ maxLength: 32 }),
    /** first-last */
    pool: Type.String({ maxLength: 64 }),
    gateway: Type.Optional(nullable(Address)),
    dns: Type.Optional(Type.Array(Address, { maxItems: 8 })),
    domain: Type.Optional(
      nullable(
        Type.String({ pattern: '^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$', description: 'a domain name' })
      )
    ),
    lease: Type.Optional(Type.String({ maxLength: 16 }))
  },
  strict
)
export type RawSubnet = Static<typeof RawSubnet>

const RawConfig = Type.Object(
  {
    data: Path,
    user: Type.Optional(
      nullable(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_.-]{0,31}$', description: 'the name of a user' }))
    ),
    database: Type.Optional(nullable(Text)),
    interfaces: Type.Array(Type.String({ pattern: '^[^/\\s\\u0000]{1,15}$', description: 'an interface name' }), {
      minItems: 1,
      maxItems: 16
    }),
    dhcp: Type.Optional(
      Type.Object(
        {
          mode: Type.Optional(Type.Enum(['authoritative', 'proxy', 'off'])),
          ports: Type.Optional(
            Type.Object(
              { server: Type.Optional(Port), client: Type.Optional(Port), proxy: Type.Optional(Port) },
              strict
            )
          ),
          subnets: Type.Optional(Type.Array(RawSubnet, { maxItems: 64 })),
          probe: Type.Optional(Type.Boolean()),
          advertise: Type.Optional(Type.Boolean()),
          leases: Type.Optional(Type.Object({ durability: Type.Optional(Type.Enum(['committed', 'written'])) }, strict))
        },
        strict
      )
    ),
    tftp: Type.Optional(Type.Object({ port: Type.Optional(Port) }, strict)),
    boot: Type.Optional(
      Type.Object(
        {
          port: Type.Optional(Port),
          url: Type.Optional(nullable(Text)),
          /** How UEFI machines are led to their script, unless a Machine document says otherwise. */
          loader: Type.Optional(Loader),
          /** The same by HTTPS, for firmware that has our certificate; absent or null: not. */
          tls: Type.Optional(
            Type.Union([
              Type.Object({ port: Type.Optional(Port), url: Type.Optional(nullable(Text)) }, strict),
              Type.Null()
            ])
          )
        },
        strict
      )
    ),
    control: Type.Optional(
      Type.Object(
        {
          port: Type.Optional(Port),
          url: Type.Optional(nullable(Text)),
          certificate: Type.Optional(nullable(Path)),
          key: Type.Optional(nullable(Path))
        },
        strict
      )
    ),
    cluster: Type.Optional(Type.Union([Type.Object({ kubeconfig: Path }, strict), Type.Null()])),
    log: Type.Optional(Type.Object({ level: Type.Optional(Type.Enum(['debug', 'info', 'warn', 'error'])) }, strict))
  },
  strict
)
export type RawConfig = Static<typeof RawConfig>

export interface Config {
  readonly data: string
  /** Whom the server becomes once its ports are open; null: whoever starts it. */
  readonly user: string | null
  /** postgres://… without a password; null: SQLite in the data folder. */
  readonly database: string | null
  readonly interfaces: readonly string[]
  readonly dhcp: {
    readonly mode: 'authoritative' | 'proxy' | 'off'
    readonly ports: { readonly server: number; readonly client: number; readonly proxy: number }
    readonly subnets: readonly SubnetConfig[]
    /** Whether other DHCP servers are asked for. */
    readonly probe: boolean
    /** Router advertisements of lifetime 0 while an iPXE starts. */
    readonly advertise: boolean
    /** What a lease survives before its ACK leaves: committed: a power cut; written: the end of this process. */
    readonly leases: { readonly durability: 'committed' | 'written' }
  }
  readonly tftp: { readonly port: number }
  /** url: without a slash at its end. */
  readonly boot: {
    readonly port: number
    readonly url: string | null
    readonly loader: Loader
    readonly tls: { readonly port: number; readonly url: string | null } | null
  }
  readonly control: {
    readonly port: number
    readonly url: string | null
    readonly certificate: string | null
    readonly key: string | null
  }
  readonly cluster: { readonly kubeconfig: string } | null
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error' }
}

export interface SubnetConfig {
  readonly subnet: string
  readonly pool: { readonly first: string; readonly last: string }
  readonly gateway: string | null
  readonly dns: readonly string[]
  readonly domain: string | null
  readonly leaseSeconds: number
}

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

/** What cannot be read becomes '' or NaN here; config-checks.ts says so. */
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
