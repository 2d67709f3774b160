// What a machine is given for one boot: its profile and the material of that boot, as the input of Ignition or
// kickstart. The two carry the same things. No cluster secret is among them: the agent asks for one when it joins.

import { renderIgnition } from '../../ignition/ignition.ts'
import { renderKickstart } from '../../kickstart/kickstart.ts'
import type { AgentConfig } from '../contract/agent.ts'
import type { Profile } from '../contract/document.ts'
import type { Machine } from '../contract/machine.ts'
import { Fault } from '../core/fault.ts'
import { agentUnit } from './agent-unit.ts'
import { installerFiles } from './installer.ts'

/** Made for one boot: see pki for the certificate. The key is secret. */
export interface BootMaterial {
  readonly caPem: string
  readonly certificatePem: string
  readonly keyPem: string
  readonly agentUrl: string
  readonly agentSha256: string
  readonly agentSize: number
  /** https://host:port of the control plane, as machines reach it. */
  readonly serverUrl: string
  /** Where the installer says that it runs (POST). */
  readonly bootedUrl: string
  /** URL of /assets; with it kickstart takes the container runtime from <assets of the profile>/packages. */
  readonly assetsUrl?: string
}

export interface RenderedConfig {
  readonly kind: ConfigKind
  readonly contentType: string
  readonly text: string
}

export type ConfigKind = 'ignition' | 'kickstart'

/** Paths on the machine: the agent finds the rest through the first. */
export const paths = {
  agent: '/usr/local/bin/slipway-agent',
  agentConfig: '/etc/slipway/agent.json',
  ca: '/etc/slipway/ca.crt',
  bootCertificate: '/etc/slipway/boot.crt',
  bootKey: '/etc/slipway/boot.key'
} as const

export function configKind(profile: Profile): ConfigKind {
  return profile.spec.os.name === 'centos-stream' ? 'kickstart' : 'ignition'
}

/** Paths below /assets of what the installer loads: all must be there before a machine is sent to load the first. */
export function installerAssets(profile: Profile): readonly string[] {
  return installerFiles(profile).map(name => `${profile.spec.os.assets}/${name}`)
}

/** Throws conflict when the machine has no name yet: the rule that matched it, or the operator, gives one. */
export function renderConfig(machine: Machine, profile: Profile, material: BootMaterial): RenderedConfig {
  const { name } = machine
  if (name === null) throw new Fault('conflict', `machine ${machine.id} has no name yet; approve it first`)
  const common = {
    directories: [{ path: '/etc/slipway', mode: 0o700 }],
    files: filesOf(name, profile, material),
    units: unitsOf(profile),
    users: (profile.spec.users ?? []).map(({ groups = [], ...user }) => ({ ...user, groups }))
  }
  if (configKind(profile) === 'ignition') {
    const text = renderIgnition({ ...common, authorities: [material.caPem] })
    return { kind: 'ignition', contentType: 'application/vnd.coreos.ignition+json;version=3.4.0', text }
  }
  const { os, disks, packages = [], kubernetes } = profile.spec
  const text = renderKickstart({
    ...common,
    hostname: name,
    disk: disks.install,
    data: machine.wipe ? 'erase' : 'refuse',
    reportUrl: material.bootedUrl,
    kernelArguments: os.kernelArguments ?? [],
    repositories: repositoriesOf(profile, material),
    packages: [...basePackages, runtimes[kubernetes.runtime].package, ...packages]
  })
  return { kind: 'kickstart', contentType: 'text/plain; charset=utf-8', text }
}

/** What kubeadm's preflight checks and kube-proxy look for, and a clock. */
const basePackages = ['@^minimal-environment', 'chrony', 'conntrack-tools', 'ethtool', 'iproute-tc', 'socat', 'tar']

/** containerd.io and cri-o are the names in the repositories of their own projects; CentOS Stream has neither. */
const runtimes = {
  containerd: { package: 'containerd.io', unit: 'containerd.service' },
  crio: { package: 'cri-o', unit: 'crio.service' }
} as const

function repositoriesOf(profile: Profile, { assetsUrl }: BootMaterial) {
  if (assetsUrl === undefined) return []
  return [{ name: 'slipway', url: `${assetsUrl.replace(/\/$/, '')}/${profile.spec.os.assets}/packages` }]
}

function filesOf(name: string, profile: Profile, material: BootMaterial) {
  const { runtime } = profile.spec.kubernetes
  const agentConfig: AgentConfig = {
    server: material.serverUrl,
    ca: paths.ca,
    bootCertificate: paths.bootCertificate,
    bootKey: paths.bootKey,
    runtime
  }
  const agent = { url: material.agentUrl, sha256: material.agentSha256 }
  const own = [
    { path: '/etc/hostname', mode: 0o644, contents: `${name}\n` },
    { path: paths.agentConfig, mode: 0o600, contents: `${JSON.stringify(agentConfig, null, 2)}\n` },
    { path: paths.ca, mode: 0o644, contents: material.caPem },
    { path: paths.bootCertificate, mode: 0o644, contents: material.certificatePem },
    { path: paths.bootKey, mode: 0o600, contents: material.keyPem },
    { path: paths.agent, mode: 0o755, contents: agent }
  ]
  const asked = (profile.spec.files ?? []).map(({ path, mode = '0644', contents }) => ({
    path,
    mode: Number.parseInt(mode, 8),
    contents
  }))
  // A profile may replace what prepares the system for the kubelet, never what ties the machine to this server.
  const taken = new Set(asked.map(({ path }) => path))
  const clash = own.find(({ path }) => taken.has(path))
  if (clash !== undefined) {
    throw new Fault('invalid', `profile ${profile.metadata.name} writes ${clash.path}, which Slipway writes itself`)
  }
  return [...own, ...preparation(profile).filter(({ path }) => !taken.has(path)), ...asked]
}

/** What the kubelet and the pod network need of the kernel, and what must not happen behind the planner's back. */
function preparation(profile: Profile) {
  const settings = ['net.ipv4.ip_forward', 'net.bridge.bridge-nf-call-iptables', 'net.bridge.bridge-nf-call-ip6tables']
  const files = [
    { path: '/etc/modules-load.d/slipway.conf', mode: 0o644, contents: 'overlay\nbr_netfilter\n' },
    { path: '/etc/sysctl.d/90-slipway.conf', mode: 0o644, contents: settings.map(key => `${key} = 1\n`).join('') }
  ]
  if (profile.spec.os.name === 'fedora-coreos') {
    // Zincati would reboot a node for an OS update whenever it likes: that is for the planner to decide.
    files.push({ path: '/etc/zincati/config.d/90-slipway.toml', mode: 0o644, contents: '[updates]\nenabled = false\n' })
  } else if (profile.spec.kubernetes.runtime === 'containerd') {
    files.push({ path: '/etc/containerd/config.toml', mode: 0o644, contents: containerdConfig })
  }
  return files
}

/**
 * The package containerd.io switches its CRI plugin off, and runc's default is not systemd's cgroups, which the
 * kubelet uses. Version 2 of the format is read by containerd 1.6 and, migrated in memory, by 2.x.
 */
const containerdConfig = `version = 2
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = true
`

/** kubelet.service is not enabled here: it comes with the system extension, which the agent merges later. */
function unitsOf(profile: Profile) {
  const { runtime } = profile.spec.kubernetes
  const asked = profile.spec.units ?? []
  const own = { name: 'slipway-agent.service', enabled: true, contents: agentUnit(runtimes[runtime].unit) }
  if (asked.some(({ name }) => name === own.name)) {
    throw new Fault('invalid', `profile ${profile.metadata.name} has a unit ${own.name}, which Slipway writes itself`)
  }
  const enabled = [runtimes[runtime].unit, 'systemd-sysext.service'].map(name => ({ name, enabled: true }))
  return [own, ...enabled.filter(({ name }) => asked.every(unit => unit.name !== name)), ...asked]
}
