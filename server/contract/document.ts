// The documents an operator writes (apiVersion slipway.dev/v1): Profile, Rule, Cluster, Machine.

import { type Static, Type } from 'typebox'
import { ClientId, MacAddress, Position, SwitchPortName, Uuid } from './identifiers.ts'
import { API_VERSION } from './names.ts'

const strict = { additionalProperties: false }
const DocumentName = Type.String({
  pattern: '^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$',
  description: 'lower-case letters, digits, - and ., at most 63'
})
const AbsolutePath = Type.String({ pattern: '^/[^\\u0000-\\u001f]*$', maxLength: 1024 })
const KubernetesVersion = Type.String({
  pattern: '^v1\\.[0-9]{1,3}\\.[0-9]{1,3}$',
  description: 'a version such as v1.36.3'
})
const Metadata = Type.Object({ name: DocumentName }, strict)
const LabelKey = '^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$'
const LabelValue = Type.String({
  pattern: '^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$',
  description: 'letters, digits, ., _ and -, at most 63'
})

export const Role = Type.Enum(['worker', 'control-plane'])
export type Role = Static<typeof Role>

export const ProfileSpec = Type.Object(
  {
    os: Type.Object(
      {
        name: Type.Enum(['centos-stream', 'fedora-coreos']),
        version: Type.String({ pattern: '^[A-Za-z0-9._-]{1,32}$' }), // centos-stream: 9 or 10
        /** Folder below <data>/assets that holds the installer of this system. */
        assets: Type.String({ pattern: '^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$', maxLength: 255 }),
        /** File names below that folder; defaults are each system's own. */
        kernel: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$' })),
        initrd: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$' })),
        rootfs: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$' })),
        /** One kernel argument an item; no white space, no ${…}. */
        kernelArguments: Type.Optional(
          Type.Array(
            Type.String({
              pattern: '^[A-Za-z0-9_.,:/=@+-]{1,255}$',
              description: 'one kernel argument without blanks or quotes'
            }),
            { maxItems: 32 }
          )
        )
      },
      strict
    ),
    /** The disk that the system is installed to; a path that does not change between boots. */
    disks: Type.Object(
      {
        install: Type.String({
          pattern: '^/dev/[A-Za-z0-9._:/-]{1,200}$',
          description: 'a path below /dev, such as /dev/disk/by-id/nvme-X'
        })
      },
      strict
    ),
    users: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: Type.String({ pattern: '^[a-z_][a-z0-9_-]{0,31}$' }),
            groups: Type.Optional(Type.Array(Type.String({ pattern: '^[a-z_][a-z0-9_-]{0,31}$' }), { maxItems: 16 })),
            sshAuthorizedKeys: Type.Array(
              Type.String({
                pattern: '^(ssh|ecdsa|sk-)[A-Za-z0-9@.-]+ [A-Za-z0-9+/=]+( [^\\n\\r"\\\\]*)?$',
                description: 'one line of an OpenSSH public key',
                maxLength: 8192
              }),
              { maxItems: 32 }
            )
          },
          strict
        ),
        { maxItems: 32 }
      )
    ),
    files: Type.Optional(
      Type.Array(
        Type.Object(
          {
            path: AbsolutePath,
            mode: Type.Optional(
              Type.String({ pattern: '^0?[0-7]{3}$', description: 'an octal mode as text, such as "0644"' })
            ), // octal text, as people write it
            contents: Type.String({ maxLength: 65536 })
          },
          strict
        ),
        { maxItems: 64 }
      )
    ),
    units: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: Type.String({
              pattern: '^[A-Za-z0-9:_.@-]+\\.(service|socket|timer|mount|path|target)$',
              maxLength: 128
            }),
            enabled: Type.Optional(Type.Boolean()),
            contents: Type.String({ maxLength: 65536 })
          },
          strict
        ),
        { maxItems: 64 }
      )
    ),
    packages: Type.Optional(Type.Array(Type.String({ pattern: '^[A-Za-z0-9@^._+*-]{1,128}$' }), { maxItems: 256 })),
    kubernetes: Type.Object(
      {
        cluster: DocumentName,
        role: Role,
        version: KubernetesVersion,
        runtime: Type.Enum(['crio', 'containerd'])
      },
      strict
    ),
    labels: Type.Optional(Type.Record(Type.String({ pattern: LabelKey }), LabelValue, { additionalProperties: false })),
    taints: Type.Optional(
      Type.Array(
        Type.Object(
          {
            key: Type.String({ pattern: LabelKey }),
            value: Type.Optional(LabelValue),
            effect: Type.Enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute'])
          },
          strict
        ),
        { maxItems: 16 }
      )
    )
  },
  strict
)
export type ProfileSpec = Static<typeof ProfileSpec>

/** Every condition given must hold; texts are compared whole, with * for any run of characters, ignoring case. */
export const RuleMatch = Type.Object(
  {
    mac: Type.Optional(Type.String({ maxLength: 64 })),
    uuid: Type.Optional(Type.String({ maxLength: 64 })),
    serial: Type.Optional(Type.String({ maxLength: 256 })),
    manufacturer: Type.Optional(Type.String({ maxLength: 256 })),
    product: Type.Optional(Type.String({ maxLength: 256 })),
    asset: Type.Optional(Type.String({ maxLength: 256 })),
    arch: Type.Optional(Type.Enum(['x86_64', 'arm64'])),
    platform: Type.Optional(Type.Enum(['bios', 'uefi'])),
    /** switch/port, as the relay names them. */
    switchPort: Type.Optional(Type.String({ maxLength: 512 }))
  },
  strict
)
export type RuleMatch = Static<typeof RuleMatch>

export const RuleSpec = Type.Object(
  {
    match: RuleMatch,
    profile: DocumentName,
    approve: Type.Enum(['auto', 'manual']),
    /** Literal text and {number} (a counter of this rule), {serial}, {mac} (hex digits), {id}. */
    name: Type.String({ pattern: '^[a-z0-9{]([a-z0-9{}-]{0,80}[a-z0-9}])?$' }),
    position: Type.Optional(Position),
    /** Rules are tried by priority, highest first, then by name. */
    priority: Type.Optional(Type.Integer({ minimum: 0, maximum: 1000 }))
  },
  strict
)
export type RuleSpec = Static<typeof RuleSpec>

export const ClusterSpec = Type.Object(
  {
    /** host:port by which nodes reach the API server. */
    endpoint: Type.String({ pattern: '^[A-Za-z0-9.-]+:[0-9]{1,5}$', description: 'host:port' }),
    version: KubernetesVersion,
    podSubnet: Type.Optional(Type.String({ pattern: '^[0-9.]+/[0-9]{1,2}$' })),
    serviceSubnet: Type.Optional(Type.String({ pattern: '^[0-9.]+/[0-9]{1,2}$' }))
  },
  strict
)
export type ClusterSpec = Static<typeof ClusterSpec>

/**
 * How UEFI machines are led to their boot script. iPXE runs where Secure Boot is off; where it is on firmware starts
 * what Microsoft signed: shim, which starts GRUB, which starts a kernel of the same vendor. No machine says which.
 */
export const Loader = Type.Enum(['ipxe', 'shim'])
export type Loader = Static<typeof Loader>

/** Fixed facts of one machine, known before it is seen. It needs an identifier; an earlier one here is stronger. */
export const MachineSpec = Type.Object(
  {
    macs: Type.Optional(Type.Array(MacAddress, { minItems: 1, maxItems: 16 })),
    clientId: Type.Optional(ClientId),
    uuid: Type.Optional(Uuid),
    switchPort: Type.Optional(SwitchPortName),
    position: Type.Optional(Position),
    profile: Type.Optional(DocumentName),
    loader: Type.Optional(Loader),
    /** The address that is kept for it, inside or outside the pool of its subnet. */
    address: Type.Optional(Type.String({ format: 'ipv4' }))
  },
  strict
)
export type MachineSpec = Static<typeof MachineSpec>

function documentOf<K extends string, S extends ReturnType<typeof Type.Object>>(kind: K, spec: S) {
  return Type.Object(
    { apiVersion: Type.Literal(API_VERSION), kind: Type.Literal(kind), metadata: Metadata, spec },
    strict
  )
}

export const ProfileDocument = documentOf('Profile', ProfileSpec)
export const RuleDocument = documentOf('Rule', RuleSpec)
export const ClusterDocument = documentOf('Cluster', ClusterSpec)
export const MachineDocument = documentOf('Machine', MachineSpec)

export type Kind = 'Profile' | 'Rule' | 'Cluster' | 'Machine'
interface DocumentOf<K extends Kind, S> {
  apiVersion: typeof API_VERSION
  kind: K
  metadata: { name: string }
  spec: S
}
export type Profile = DocumentOf<'Profile', ProfileSpec>
export type Rule = DocumentOf<'Rule', RuleSpec>
export type Cluster = DocumentOf<'Cluster', ClusterSpec>
export type MachineFacts = DocumentOf<'Machine', MachineSpec>
export type AnyDocument = Profile | Rule | Cluster | MachineFacts
