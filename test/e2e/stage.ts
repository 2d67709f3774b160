// The stage of an end-to-end run: a network namespace, a real control plane and `slipway serve` in it, with the lab's
// system, extensions, boot programs and the agent as built for release in its data folder. No machine yet.
// What a test asks of the server goes through the programs people use: the command line, and curl on the API.

import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { globSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { stringify } from 'yaml'
import type { NodeView } from '../../server/contract/api.ts'
import type { AnyDocument } from '../../server/contract/document.ts'
import type { TimelineEvent } from '../../server/contract/event.ts'
import type { Machine } from '../../server/contract/machine.ts'
import { API_VERSION } from '../../server/contract/names.ts'
import { type Cluster, startCluster } from '../lab/cluster.ts'
import { createNamespace, type Namespace, type Ran } from '../lab/namespace.ts'
import type { LabImages } from '../lab/os/build.ts'
import { apply, ask, slipwayIn, startServer } from './served.ts'

const address = '10.78.0.1'

export interface Stage {
  readonly namespace: Namespace
  readonly cluster: Cluster
  readonly folder: string
  /** A GET on the API, as JSON. */
  get<T>(path: string): Promise<T>
  /** `slipway …` as on the server's own host. */
  slipway(...args: string[]): Promise<Ran>
  /** `kubectl …` as the cluster's administrator. */
  kubectl(args: readonly string[], input?: string): Promise<string>
  machines(): Promise<Machine[]>
  node(name: string): Promise<NodeView | null>
  /** All of a machine's timeline, oldest first. */
  timeline(machine: string): Promise<TimelineEvent[]>
  /** SIGKILL, and a new server in its place. */
  killServer(): Promise<void>
  serverLog(): string
  close(): Promise<void>
}

export interface Artifacts {
  readonly images: LabImages
  readonly agent: string
}

export async function openStage(artifacts: Artifacts): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-e2e-'))
  const namespace = await createNamespace('e2e', address)
  let cluster: Cluster | null = null
  // Also when this process is told to end: what runs in the namespace is ended by the namespace itself.
  const tidy = (): void => {
    for (const each of [folder, cluster?.folder]) if (each !== undefined) rmSync(each, { recursive: true, force: true })
  }
  process.once('exit', tidy)
  const close = async (): Promise<void> => {
    await namespace.close()
    await cluster?.stop()
    tidy()
    process.off('exit', tidy)
  }
  try {
    cluster = await startCluster({ version: '1.35', namespace: { name: namespace.name, address } })
    fillData(folder, artifacts)
    writeConfig(folder, cluster)
    const stage = await serve(folder, namespace, cluster, close)
    await apply({ namespace, folder, address }, documents)
    return stage
  } catch (error) {
    await close()
    throw error
  }
}

function fillData(folder: string, { images, agent }: Artifacts): void {
  const copy = (to: string, files: readonly string[]): void => {
    mkdirSync(to, { recursive: true })
    for (const file of files) copyFileSync(file, join(to, basename(file)))
  }
  const data = join(folder, 'data')
  copy(join(data, 'boot'), globSync(join(images.boot, '*')))
  copy(join(data, 'assets', 'lab-coreos'), globSync(join(images.os, '*')))
  copy(join(data, 'extensions'), globSync(join(images.extensions, '*')))
  copy(join(data, 'agents'), [agent])
}

function writeConfig(folder: string, cluster: Cluster): void {
  const kubeconfig = join(folder, 'kubeconfig')
  writeFileSync(kubeconfig, cluster.adminKubeconfig, { mode: 0o600 })
  const subnet = { subnet: '10.78.0.0/24', pool: '10.78.0.100-10.78.0.199', gateway: address, lease: '1h' }
  const config = {
    data: join(folder, 'data'),
    interfaces: ['br0'],
    dhcp: { mode: 'authoritative', subnets: [subnet] },
    cluster: { kubeconfig },
    log: { level: 'info' }
  }
  writeFileSync(join(folder, 'slipway.yaml'), stringify(config))
}

async function serve(
  folder: string,
  namespace: Namespace,
  cluster: Cluster,
  close: () => Promise<void>
): Promise<Stage> {
  const where = { namespace, folder, address }
  let server = await startServer(where)
  const get = <T>(path: string): Promise<T> => ask<T>(where, path)
  return {
    namespace,
    cluster,
    folder,
    get,
    slipway: (...args) => slipwayIn(where, ...args),
    async kubectl(args, input = '') {
      const all = ['--kubeconfig', join(folder, 'kubeconfig'), ...args]
      const { exitCode, stdout, stderr } = await namespace.run(cluster.program('kubectl'), all, { input })
      if (exitCode !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`)
      return stdout
    },
    machines: () => get<Machine[]>('/api/v1/machines'),
    node: async name => (await get<NodeView[]>('/api/v1/nodes')).find(node => node.name === name) ?? null,
    timeline: machine => get<TimelineEvent[]>(`/api/v1/events?machine=${machine}&limit=1000`),
    async killServer() {
      await server.stop('SIGKILL')
      server = await startServer(where)
    },
    serverLog: () => server.output(),
    close
  }
}

const documents: readonly AnyDocument[] = [
  {
    apiVersion: API_VERSION,
    kind: 'Cluster',
    metadata: { name: 'lab' },
    spec: { endpoint: `${address}:6443`, version: 'v1.35.4', podSubnet: '10.244.0.0/16', serviceSubnet: '10.96.0.0/16' }
  },
  {
    apiVersion: API_VERSION,
    kind: 'Profile',
    metadata: { name: 'lab-worker' },
    spec: {
      os: {
        name: 'fedora-coreos',
        version: 'lab',
        assets: 'lab-coreos',
        kernel: 'vmlinuz',
        initrd: 'initrd.img',
        rootfs: 'rootfs.squashfs',
        kernelArguments: ['console=ttyS0', 'quiet', 'panic=5']
      },
      disks: { install: '/dev/disk/by-id/virtio-LABDISK1' },
      kubernetes: { cluster: 'lab', role: 'worker', version: 'v1.35.4', runtime: 'containerd' },
      labels: { 'example.com/rack': 'lab' }
    }
  },
  {
    apiVersion: API_VERSION,
    kind: 'Rule',
    metadata: { name: 'lab-machines' },
    spec: { match: { manufacturer: 'Slipway Lab' }, profile: 'lab-worker', approve: 'manual', name: 'node-{number}' }
  }
]
