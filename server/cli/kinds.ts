// What `slipway get` can list: where it is in the API, its columns, its names.

import type { BootView, LeaseView, NodeView } from '../contract/api.ts'
import type { Cluster, Profile, Rule } from '../contract/document.ts'
import type { TimelineEvent } from '../contract/event.ts'
import type { Machine } from '../contract/machine.ts'
import type { DhcpServerView } from '../contract/network.ts'
import { age, type Column } from './table.ts'

export interface ListKind {
  readonly path: string
  readonly singular: string
  readonly columns: (now: number) => ReadonlyArray<Column<never>>
  readonly name: (row: never) => string
  /** Without it there is no single one to ask for. */
  readonly named: boolean
}

function kind<T>(
  path: string,
  singular: string,
  name: (row: T) => string,
  columns: (now: number) => Column<T>[],
  named = true
): ListKind {
  return { path, singular, name, columns, named }
}

export const kinds: Record<string, ListKind> = {
  machines: kind<Machine>(
    'machines',
    'machine',
    machine => machine.name ?? machine.id,
    now => [
      { title: 'NAME', value: machine => machine.name ?? machine.id },
      { title: 'STATE', value: machine => machine.state },
      { title: 'SINCE', value: machine => age(machine.since, now) },
      { title: 'PROFILE', value: machine => machine.profile },
      { title: 'VERSION', value: machine => machine.version },
      { title: 'ADDRESS', value: machine => machine.address },
      { title: 'WHY', value: machine => machine.reason },
      { title: 'NEXT', value: machine => machine.next },
      { title: 'ID', value: machine => machine.id, wide: true },
      { title: 'MACS', value: machine => machine.macs.join(','), wide: true },
      { title: 'HARDWARE', value: ({ hardware }) => [hardware.manufacturer, hardware.product].join(' '), wide: true },
      { title: 'SERIAL', value: machine => machine.hardware.serial, wide: true },
      { title: 'ARCH', value: ({ hardware }) => hardware.arch, wide: true },
      { title: 'FIRMWARE', value: ({ hardware }) => hardware.platform, wide: true },
      { title: 'RULE', value: machine => machine.rule, wide: true },
      { title: 'SWITCH PORT', value: ({ switchPort: at }) => at && `${at.switch}/${at.port}`, wide: true },
      { title: 'POSITION', value: machine => machine.position, wide: true }
    ]
  ),
  boots: kind<BootView>(
    'boots',
    'boot',
    boot => boot.id,
    now => [
      { title: 'ID', value: boot => boot.id },
      { title: 'MACHINE', value: boot => boot.machine },
      { title: 'STATE', value: boot => boot.state },
      { title: 'AGE', value: boot => age(boot.createdAt, now) },
      { title: 'ADDRESS', value: boot => boot.address },
      { title: 'CONFIG', value: boot => boot.kind },
      { title: 'PROFILE', value: boot => boot.profile }
    ]
  ),
  profiles: kind<Profile>('profiles', 'profile', nameOf, () => [
    { title: 'NAME', value: nameOf },
    { title: 'OS', value: ({ spec }) => `${spec.os.name} ${spec.os.version}` },
    { title: 'ROLE', value: ({ spec }) => spec.kubernetes.role },
    { title: 'VERSION', value: ({ spec }) => spec.kubernetes.version },
    { title: 'CLUSTER', value: ({ spec }) => spec.kubernetes.cluster },
    { title: 'DISK', value: ({ spec }) => spec.disks.install, wide: true },
    { title: 'RUNTIME', value: ({ spec }) => spec.kubernetes.runtime, wide: true }
  ]),
  rules: kind<Rule>('rules', 'rule', nameOf, () => [
    { title: 'NAME', value: nameOf },
    { title: 'PRIORITY', value: ({ spec }) => String(spec.priority ?? 0) },
    { title: 'PROFILE', value: ({ spec }) => spec.profile },
    { title: 'APPROVE', value: ({ spec }) => spec.approve },
    { title: 'NAMES', value: ({ spec }) => spec.name },
    { title: 'MATCH', value: ({ spec }) => JSON.stringify(spec.match) }
  ]),
  clusters: kind<Cluster>('clusters', 'cluster', nameOf, () => [
    { title: 'NAME', value: nameOf },
    { title: 'ENDPOINT', value: ({ spec }) => spec.endpoint },
    { title: 'VERSION', value: ({ spec }) => spec.version }
  ]),
  nodes: kind<NodeView>(
    'nodes',
    'node',
    node => node.name,
    () => [
      { title: 'NAME', value: node => node.name },
      { title: 'READY', value: node => (node.ready ? 'yes' : 'no') },
      { title: 'VERSION', value: node => node.version },
      { title: 'ASKED', value: node => node.asked },
      { title: 'STATE', value: node => node.state },
      { title: 'CORDONED', value: node => (node.unschedulable ? 'yes' : 'no') },
      { title: 'WHY', value: node => node.reason },
      { title: 'NEXT', value: node => node.next },
      { title: 'MACHINE', value: node => node.machine, wide: true }
    ]
  ),
  leases: kind<LeaseView>(
    'leases',
    'lease',
    lease => lease.address,
    now => [
      { title: 'ADDRESS', value: lease => lease.address },
      { title: 'MAC', value: lease => lease.mac },
      { title: 'STATE', value: lease => lease.state },
      { title: 'GRANTED', value: lease => age(lease.grantedAt, now) },
      { title: 'EXPIRES', value: lease => lease.expiresAt },
      { title: 'HOST', value: lease => lease.hostname },
      { title: 'KNOWN BY', value: lease => lease.identifier, wide: true }
    ],
    false
  ),
  'dhcp-servers': kind<DhcpServerView>(
    'dhcp-servers',
    'dhcp-server',
    server => server.address,
    now => [
      { title: 'ADDRESS', value: server => server.address },
      { title: 'INTERFACE', value: server => server.interface },
      { title: 'VERDICT', value: server => server.verdict },
      { title: 'OFFERED', value: server => server.offered },
      { title: 'ROUTER', value: server => server.routers.join(',') },
      { title: 'BOOTFILE', value: server => server.bootFile },
      { title: 'MAC', value: server => server.mac },
      { title: 'HEARD', value: server => age(server.lastSeen, now) },
      { title: 'WHY', value: server => server.why, wide: true },
      { title: 'RELAY', value: server => server.relay, wide: true },
      { title: 'DNS', value: server => server.dns.join(','), wide: true },
      { title: 'NEXT-SERVER', value: server => server.nextServer, wide: true }
    ],
    false
  ),
  events: kind<TimelineEvent>(
    'events',
    'event',
    event => String(event.id),
    () => eventColumns,
    false
  )
}

export const eventColumns: Column<TimelineEvent>[] = [
  { title: 'AT', value: event => event.at },
  { title: 'TYPE', value: event => event.type },
  { title: 'MACHINE', value: event => event.machine ?? event.mac },
  { title: 'BOOT', value: event => event.boot, wide: true },
  { title: 'MESSAGE', value: event => (event.level === 'warning' ? `! ${event.message}` : event.message) }
]

function nameOf(document: { metadata: { name: string } }): string {
  return document.metadata.name
}
