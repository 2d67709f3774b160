// What the lab tells the server: slipway.yaml and the documents of the simulated rack, as an operator would write
// them. Pure: texts out, nothing written.

import { stringify } from 'yaml'
import type { AnyDocument, Profile, Rule } from '../../server/contract/document.ts'
import { API_VERSION } from '../../server/contract/names.ts'
import { MANUFACTURER } from './rack/spec.ts'

export const VERSION_INSTALLED = 'v1.35.4'
export const VERSION_UPGRADED = 'v1.36.3'

export interface Ports {
  readonly dhcpServer: number
  readonly dhcpClient: number
  readonly dhcpProxy: number
  readonly tftp: number
  readonly boot: number
  readonly control: number
  /** The page, as plain HTTP. */
  readonly page: number
  /** The API server of the simulated cluster. */
  readonly cluster: number
}

/** slipway.yaml for a server that touches nothing but loopback. */
export function configText(data: string, ports: Ports): string {
  return `# Written by slipway lab for a simulated rack; removed with it.\n${stringify({
    data,
    database: null,
    interfaces: ['lo'],
    dhcp: {
      mode: 'authoritative',
      ports: { server: ports.dhcpServer, client: ports.dhcpClient, proxy: ports.dhcpProxy },
      subnets: [{ subnet: '127.0.0.0/8', pool: '127.77.0.10-127.77.0.250', gateway: null, dns: [], lease: '1h' }]
    },
    tftp: { port: ports.tftp },
    boot: { port: ports.boot, url: null },
    control: { port: ports.control, url: null, certificate: null, key: null },
    log: { level: 'info' }
  })}`
}

/** Files of an operating system below <data>/assets: the names are those of the real ones. */
export const assetFiles: Readonly<Record<string, readonly string[]>> = {
  'fedora-coreos/x86_64': ['kernel', 'initramfs.img', 'rootfs.img'],
  'fedora-coreos/arm64': ['kernel', 'initramfs.img', 'rootfs.img'],
  'centos-stream/9': ['images/pxeboot/vmlinuz', 'images/pxeboot/initrd.img', 'images/install.img', '.treeinfo'],
  'centos-stream/10': ['images/pxeboot/vmlinuz', 'images/pxeboot/initrd.img', 'images/install.img', '.treeinfo']
}

const coreos = { kernel: 'kernel', initrd: 'initramfs.img', rootfs: 'rootfs.img' }
const centos = { kernel: 'images/pxeboot/vmlinuz', initrd: 'images/pxeboot/initrd.img' }

export function documents(ports: Ports): AnyDocument[] {
  return [
    {
      apiVersion: API_VERSION,
      kind: 'Cluster',
      metadata: { name: 'lab' },
      spec: {
        endpoint: `127.0.0.1:${ports.cluster}`,
        version: VERSION_INSTALLED,
        podSubnet: '10.244.0.0/16',
        serviceSubnet: '10.96.0.0/12'
      }
    },
    profile('control-plane', 'control-plane', { name: 'fedora-coreos', version: '43', assets: 'fedora-coreos/x86_64' }),
    profile('coreos', 'worker', { name: 'fedora-coreos', version: '43', assets: 'fedora-coreos/x86_64' }),
    profile('coreos-arm64', 'worker', { name: 'fedora-coreos', version: '43', assets: 'fedora-coreos/arm64' }),
    profile('centos-9', 'worker', { name: 'centos-stream', version: '9', assets: 'centos-stream/9' }),
    profile('centos-10', 'worker', { name: 'centos-stream', version: '10', assets: 'centos-stream/10' }),
    rule('control-plane', 'auto', { product: 'Control Plane' }),
    rule('coreos', 'auto', { product: 'Worker (Fedora CoreOS)', arch: 'x86_64' }),
    rule('coreos-arm64', 'auto', { product: 'Worker (Fedora CoreOS)', arch: 'arm64' }),
    rule('centos-9', 'auto', { product: 'Worker (CentOS Stream 9)' }),
    rule('centos-10', 'auto', { product: 'Worker (CentOS Stream 10)' }),
    // A make nobody has vouched for: somebody has to look first.
    { ...rule('centos-9', 'manual', { product: 'Unknown Make *' }), metadata: { name: 'unknown-make' } }
  ]
}

function profile(name: string, role: 'worker' | 'control-plane', os: Profile['spec']['os']): Profile {
  return {
    apiVersion: API_VERSION,
    kind: 'Profile',
    metadata: { name },
    spec: {
      os: { ...os, ...(os.name === 'fedora-coreos' ? coreos : centos) },
      disks: { install: '/dev/disk/by-id/virtio-lab' },
      kubernetes: { cluster: 'lab', role, version: VERSION_INSTALLED, runtime: 'containerd' },
      labels: { 'example.com/rack': 'lab' }
    }
  }
}

function rule(profileName: string, approve: 'auto' | 'manual', match: Rule['spec']['match']): Rule {
  return {
    apiVersion: API_VERSION,
    kind: 'Rule',
    metadata: { name: profileName },
    spec: {
      match: { manufacturer: MANUFACTURER, ...match },
      profile: profileName,
      approve,
      name: `${approve === 'manual' ? 'unknown-make' : profileName}-{number}`
    }
  }
}
