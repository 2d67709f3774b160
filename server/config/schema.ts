// What slipway.yaml looks like: the schema of what is read, and the type of what it becomes. What its values must be to
// each other is checks.ts.

import { type Static, Type } from 'typebox'
import { Loader } from '../contract/document.ts'

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

export const RawConfig = Type.Object(
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
