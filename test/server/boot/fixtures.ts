// A machine, a profile of each system, and the material of one boot. The key is no key.

import type { BootMaterial } from '../../../server/boot/config.ts'
import type { Profile, ProfileSpec } from '../../../server/contract/document.ts'
import type { Machine } from '../../../server/contract/machine.ts'
import { API_VERSION } from '../../../server/contract/names.ts'

export function machineOf(changes: Partial<Machine> = {}): Machine {
  return {
    id: 'm-12345678',
    name: 'r12n07',
    macs: ['52:54:00:ab:cd:01'],
    hardware: {
      uuid: null,
      serial: null,
      manufacturer: null,
      product: null,
      asset: null,
      arch: 'x86_64',
      platform: 'bios'
    },
    state: 'approved',
    since: '2026-01-01T00:00:00.000Z',
    reason: null,
    next: '',
    profile: 'worker',
    rule: null,
    armed: true,
    wipe: false,
    address: null,
    switchPort: null,
    position: null,
    version: null,
    updatedAt: '2026-01-01T00:00:00.000Z',
    ...changes
  }
}

type Changes = Partial<Omit<ProfileSpec, 'os'>> & { os?: Partial<ProfileSpec['os']> }

export function profileOf(name: ProfileSpec['os']['name'], { os = {}, ...spec }: Changes = {}): Profile {
  const version = name === 'centos-stream' ? '10' : '43'
  return {
    apiVersion: API_VERSION,
    kind: 'Profile',
    metadata: { name: 'worker' },
    spec: {
      os: { name, version, assets: `${name}/${version}`, ...os },
      disks: { install: '/dev/vda' },
      kubernetes: { cluster: 'main', role: 'worker', version: 'v1.35.4', runtime: 'containerd' },
      ...spec
    }
  }
}

export const material: BootMaterial = {
  caPem: '-----BEGIN CERTIFICATE-----\nY2E=\n-----END CERTIFICATE-----\n',
  certificatePem: '-----BEGIN CERTIFICATE-----\nYm9vdA==\n-----END CERTIFICATE-----\n',
  keyPem: '-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n',
  agentUrl: 'http://10.0.0.1:8080/agent/x86_64',
  agentSha256: 'ab'.repeat(32),
  agentSize: 100,
  bootedUrl: 'http://10.0.0.1:8080/b/0123456789abcdef0123456789abcdef/booted',
  serverUrl: 'https://10.0.0.1:8443',
  assetsUrl: 'http://10.0.0.1:8080/assets'
}
