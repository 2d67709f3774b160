// A real Kubernetes control plane as plain processes: etcd, API server (Node and RBAC authorisation, NodeRestriction,
// bootstrap tokens), controller manager, scheduler. Keys come from kubeadm's own phases. On loopback with free ports
// for tests, or in a network namespace with an address that guests can reach. Not here: nodes.

import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { findTools, noTools } from '../helpers/tools.ts'
import { apiServerFlags, controllerFlags, type Place, writeConfig } from './cluster-flags.ts'
import { createProcesses, type Processes } from './cluster-processes.ts'

export type ClusterVersion = '1.35' | '1.36'
export const fullVersion: Record<ClusterVersion, string> = { '1.35': 'v1.35.4', '1.36': 'v1.36.3' }

export interface ClusterOptions {
  readonly version: ClusterVersion
  /** An existing network namespace and the address in it by which nodes reach the API server; else loopback. */
  readonly namespace?: { readonly name: string; readonly address: string }
}

export interface Cluster {
  /** https://address:port */
  readonly server: string
  readonly port: number
  /** A kubeconfig of system:masters, everything inline. */
  readonly adminKubeconfig: string
  readonly caPem: string
  /** The folder with pki/, kubeconfigs and logs; removed by stop. */
  readonly folder: string
  version(): ClusterVersion
  /** Path of a program of the running version: kubeadm, kubectl, kubelet. */
  program(name: string): string
  /** Other binaries over the same etcd and keys. The API server dies by SIGKILL: SIGTERM waits 60 s for watches. */
  upgrade(version: ClusterVersion): Promise<void>
  stop(): Promise<void>
}

const readyMs = 120_000
const pollMs = 100

export async function startCluster({ version, namespace }: ClusterOptions): Promise<Cluster> {
  const tools = findTools()
  if (tools === null) throw new Error(noTools)
  const folder = await mkdtemp(join(tmpdir(), 'slipway-cluster-'))
  await mkdir(join(folder, 'log'))
  const prefix = namespace === undefined ? [] : ['ip', 'netns', 'exec', namespace.name]
  const processes = createProcesses(join(folder, 'log'), prefix)
  try {
    const place = await placeOf(folder, tools, namespace)
    await makeKeys(processes, place, version)
    startEtcd(processes, place)
    return await serve(processes, place, version)
  } catch (error) {
    await processes.killAll()
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

async function serve(processes: Processes, place: Place, first: ClusterVersion): Promise<Cluster> {
  let version = first
  const { folder, host, ports } = place
  await startVersion(processes, place, version)
  return {
    server: `https://${host}:${ports.api}`,
    port: ports.api,
    adminKubeconfig: await readFile(join(folder, 'super-admin.conf'), 'utf8'),
    caPem: await readFile(join(folder, 'pki', 'ca.crt'), 'utf8'),
    folder,
    version: () => version,
    program: name => join(place.tools, version, name),
    async upgrade(to) {
      for (const name of ['scheduler', 'controller-manager', 'apiserver']) await processes.kill(name)
      await startVersion(processes, place, to)
      version = to
    },
    async stop() {
      await processes.killAll()
      await rm(folder, { recursive: true, force: true })
    }
  }
}

async function placeOf(folder: string, tools: string, namespace: ClusterOptions['namespace']): Promise<Place> {
  if (namespace !== undefined) {
    // A namespace of its own: the usual ports are free.
    const { address } = namespace
    const ports = { api: 6443, etcd: 2379, peer: 2380 }
    return { folder, tools, bind: '0.0.0.0', advertise: address, host: address, ports }
  }
  const [api = 0, etcd = 0, peer = 0] = await freePorts(3)
  return { folder, tools, bind: '127.0.0.1', advertise: '10.96.99.1', host: '127.0.0.1', ports: { api, etcd, peer } }
}

/** Ports that were free a moment ago; held open together, so that all differ. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(0, '127.0.0.1', resolve)
      })
      return server
    })
  )
  const ports = servers.map(server => {
    const address = server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  })
  await Promise.all(servers.map(async server => new Promise(resolve => server.close(resolve))))
  return ports
}

async function makeKeys(processes: Processes, place: Place, version: ClusterVersion): Promise<void> {
  const { folder, tools, host, ports } = place
  const kubeadm = join(tools, version, 'kubeadm')
  const config = await writeConfig(place, fullVersion[version], join(folder, 'pki'))
  await processes.run([kubeadm, 'init', 'phase', 'certs', 'all', '--config', config])
  for (const name of ['super-admin', 'controller-manager', 'scheduler']) {
    await processes.run([kubeadm, 'init', 'phase', 'kubeconfig', name, '--config', config, '--kubeconfig-dir', folder])
    // kubeadm points some at the advertised address, which on loopback nobody answers
    const path = join(folder, `${name}.conf`)
    const text = await readFile(path, 'utf8')
    await writeFile(path, text.replace(/server: .*/, `server: https://${host}:${ports.api}`))
  }
}

function startEtcd(processes: Processes, { folder, tools, ports }: Place): void {
  const client = `http://127.0.0.1:${ports.etcd}`
  const peer = `http://127.0.0.1:${ports.peer}`
  processes.start('etcd', [
    join(tools, 'etcd'),
    `--data-dir=${join(folder, 'etcd')}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    '--unsafe-no-fsync' // nothing here survives the test, and need not
  ])
}

async function startVersion(processes: Processes, place: Place, version: ClusterVersion): Promise<void> {
  const { folder, tools } = place
  const program = (name: string) => join(tools, version, name)
  processes.start('apiserver', [program('kube-apiserver'), ...apiServerFlags(place)])
  await ready(processes, program('kubectl'), join(folder, 'super-admin.conf'))
  processes.start('controller-manager', [program('kube-controller-manager'), ...controllerFlags(folder)])
  processes.start('scheduler', [
    program('kube-scheduler'),
    `--kubeconfig=${join(folder, 'scheduler.conf')}`,
    '--leader-elect=false',
    '--secure-port=0'
  ])
  const config = await writeConfig(place, fullVersion[version], '/etc/kubernetes/pki')
  const admin = join(folder, 'super-admin.conf')
  const upload = ['init', 'phase', 'upload-config', 'all', '--config', config, '--kubeconfig', admin]
  await processes.run([program('kubeadm'), ...upload])
}

/** Asked by kubectl from where the processes are: a network namespace has a loopback of its own. */
async function ready(processes: Processes, kubectl: string, kubeconfig: string): Promise<void> {
  const deadline = Date.now() + readyMs
  for (;;) {
    const end = processes.ended('apiserver') ?? processes.ended('etcd')
    if (end !== null) throw new Error(end)
    try {
      await processes.run([kubectl, '--kubeconfig', kubeconfig, 'get', '--raw', '/readyz'])
      return
    } catch (error) {
      if (Date.now() > deadline) throw new Error('the API server is not ready in time', { cause: error })
      await wait(pollMs)
    }
  }
}
