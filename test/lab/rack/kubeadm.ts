// Simulated kubeadm: join asks the (simulated) API server for a kubelet's certificate with the bootstrap token that it
// was given, exactly as the real one does, and waits until somebody approves; init makes the cluster. Files are written
// where the real one writes them. No preflight checks, no static pods, no etcd.

import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { createKubeClient } from '../../../server/kubeapi/client.ts'
import { isKubeError } from '../../../server/kubeapi/errors.ts'
import { fileCredentials } from '../../../server/kubeapi/files.ts'
import { paths } from '../../../server/kubeapi/paths.ts'
import { complained, type Answer, said } from './program-server.ts'
import { startUnit, type System } from './system.ts'
import { requestCertificate } from './tls-bootstrap.ts'

export async function kubeadm(system: System, args: readonly string[], signal: AbortSignal): Promise<Answer> {
  const [command = '', ...rest] = args
  switch (command) {
    case 'init':
      return await init(system, await readConfig(system, rest))
    case 'join':
      return await joinCluster(system, await readConfig(system, rest), signal)
    case 'reset':
      return await reset(system)
    case 'upgrade':
      return await upgrade(system, rest, signal)
    default:
      return complained(1, `the simulated kubeadm has no ${command}`)
  }
}

interface Registration {
  readonly name: string
  readonly arguments: ReadonlyMap<string, string>
  readonly taints: readonly { key: string; value?: string; effect: string }[] | null
}

interface KubeadmConfig {
  readonly registration: Registration
  /** Path of the discovery file on the machine; null for init. */
  readonly discovery: string | null
  readonly tlsBootstrapToken: string | null
  readonly version: string | null
}

async function readConfig({ root }: System, args: readonly string[]): Promise<KubeadmConfig> {
  const at = args.findIndex(arg => arg.startsWith('--config'))
  const path = args[at]?.split('=', 2)[1] ?? args[at + 1]
  if (at === -1 || path === undefined) throw new Error('--config is missing')
  const text = await readFile(onDisk(root, path), 'utf8')
  const documents = parseAllDocuments(text).map(document => document.toJS() as Record<string, unknown>)
  const main = documents.find(({ kind }) => kind === 'JoinConfiguration' || kind === 'InitConfiguration')
  const cluster = documents.find(({ kind }) => kind === 'ClusterConfiguration')
  if (main === undefined) throw new Error('no JoinConfiguration or InitConfiguration in the file')
  const node = (main['nodeRegistration'] ?? {}) as {
    name?: string
    kubeletExtraArgs?: { name: string; value: string }[]
    taints?: { key: string; value?: string; effect: string }[]
  }
  if (node.name === undefined) throw new Error('nodeRegistration.name is missing')
  const discovery = main['discovery'] as { file?: { kubeConfigPath?: string }; tlsBootstrapToken?: string } | undefined
  return {
    registration: {
      name: node.name,
      arguments: new Map((node.kubeletExtraArgs ?? []).map(({ name, value }) => [name, value])),
      taints: node.taints ?? null
    },
    discovery: discovery?.file?.kubeConfigPath ?? null,
    tlsBootstrapToken: discovery?.tlsBootstrapToken ?? null,
    version: (cluster?.['kubernetesVersion'] as string | undefined) ?? null
  }
}

/** The agent gives real paths on the command line and the machine's own inside of files. */
function onDisk(root: string, path: string): string {
  return path.startsWith(`${root}/`) ? path : join(root, path)
}

async function init(system: System, { registration, version }: KubeadmConfig): Promise<Answer> {
  const { cluster, root } = system
  if (await exists(join(root, 'etc/kubernetes/admin.conf'))) return complained(2, '[preflight] admin.conf exists')
  await cluster.start(version ?? 'v1.35.4')
  const { api } = cluster
  if (api === null) throw new TypeError('a started cluster has an API server')
  await put(root, 'etc/kubernetes/admin.conf', api.adminKubeconfig, 0o600)
  const node = await cluster.issue(`system:node:${registration.name}`, 'system:nodes')
  const taints = registration.taints ?? [{ key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' }]
  await becomeNode(system, { ...registration, taints }, `${node.certificatePem}${node.keyPem}`)
  return said('Your Kubernetes control-plane has initialized successfully! (simulated)')
}

async function joinCluster(system: System, config: KubeadmConfig, signal: AbortSignal): Promise<Answer> {
  const { root } = system
  if (await exists(join(root, 'etc/kubernetes/kubelet.conf'))) return complained(2, '[preflight] kubelet.conf exists')
  if (config.discovery === null) return complained(3, 'discovery.file is missing')
  const discovered = fileCredentials(config.discovery, root)
  const bootstrap = async () => {
    const credentials = await discovered()
    return { ...credentials, token: credentials.token ?? config.tlsBootstrapToken }
  }
  const known = await bootstrap()
  const client = createKubeClient(async () => known)
  try {
    // What kubeadm reads first; with a token of too few rights it ends here.
    await client.get(paths.configMap('kube-system', 'kubeadm-config'), { signal })
    await client.get(paths.configMap('kube-system', 'kubelet-config'), { signal })
    const { name } = config.registration
    const taken = await client.get(paths.node(name), { signal }).catch((error: unknown) => notFound(error))
    if (taken !== null) return complained(1, `a Node with name "${name}" already exists in the cluster`)
    const pem = await requestCertificate(client, name, signal)
    await becomeNode(system, config.registration, pem)
    return said('This node has joined the cluster (simulated)')
  } finally {
    client.close()
  }
}

function notFound(error: unknown): null {
  if (isKubeError(error, 404)) return null
  throw error
}

/** What a joined machine has: the kubelet's credential, its flags, and a running kubelet. */
async function becomeNode(system: System, registration: Registration, pem: string): Promise<void> {
  const { root, cluster } = system
  const { name, arguments: given, taints } = registration
  const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-')
  await put(root, `var/lib/kubelet/pki/kubelet-client-${stamp}.pem`, pem, 0o600)
  const current = join(root, 'var/lib/kubelet/pki/kubelet-client-current.pem')
  await rm(current, { force: true })
  await symlink(`kubelet-client-${stamp}.pem`, current)
  await put(root, 'etc/kubernetes/pki/ca.crt', cluster.api?.caPem ?? '', 0o644)
  const flags = new Map([['hostname-override', name], ...given])
  if (taints !== null && taints.length > 0) {
    flags.set(
      'register-with-taints',
      taints.map(({ key, value = '', effect }) => `${key}=${value}:${effect}`).join(',')
    )
  }
  const line = [...flags].map(([flag, value]) => `--${flag}=${value}`).join(' ')
  await put(root, 'var/lib/kubelet/kubeadm-flags.env', `KUBELET_KUBEADM_ARGS="${line}"\n`, 0o600)
  await put(
    root,
    'var/lib/kubelet/config.yaml',
    'apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n',
    0o644
  )
  await put(
    root,
    'etc/kubernetes/kubelet.conf',
    cluster.fileKubeconfig('/var/lib/kubelet/pki/kubelet-client-current.pem'),
    0o600
  )
  await startUnit(system, 'kubelet.service')
}

async function reset(system: System): Promise<Answer> {
  for (const path of ['etc/kubernetes', 'var/lib/kubelet']) {
    await rm(join(system.root, path), { recursive: true, force: true })
  }
  return said('The reset is done (simulated)')
}

/** apply moves the cluster; node takes over the kubelet's configuration for the version that it has now. */
async function upgrade(system: System, args: readonly string[], signal: AbortSignal): Promise<Answer> {
  const { cluster, root } = system
  const [command, ...rest] = args
  if (command === 'apply') {
    const version = rest.find(arg => /^v1\.\d+\.\d+$/.test(arg))
    if (version === undefined) return complained(3, 'upgrade apply: no version')
    cluster.upgrade(version)
  } else if (command !== 'node') return complained(1, `the simulated kubeadm has no upgrade ${command ?? ''}`)
  const client = createKubeClient(fileCredentials('/etc/kubernetes/kubelet.conf', root))
  try {
    await client.get(paths.configMap('kube-system', 'kubeadm-config'), { signal })
    await client.get(paths.configMap('kube-system', 'kubelet-config'), { signal })
  } finally {
    client.close()
  }
  return said(`[upgrade] Successfully upgraded (simulated)`)
}

async function exists(path: string): Promise<boolean> {
  return await readFile(path).then(
    () => true,
    () => false
  )
}

async function put(root: string, path: string, text: string, mode: number): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true })
  await writeFile(join(root, path), text, { mode })
}
