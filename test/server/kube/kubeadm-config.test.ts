// kubeadm's files: what they say, and that the real kubeadm of two minors accepts them.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { parse, parseAllDocuments } from 'yaml'
import type { ClusterSpec, ProfileSpec } from '../../../server/contract/document.ts'
import { parseKubeconfig } from '../../../server/kubeapi/kubeconfig.ts'
import {
  discoveryKubeconfig,
  discoveryPath,
  initConfiguration,
  joinConfiguration
} from '../../../server/kube/kubeadm-config.ts'
import { kubeletMayLabel, serverLabels } from '../../../server/kube/node-labels.ts'
import { randomText } from '../../../server/kube/tokens.ts'
import { findTools, needsTools } from '../../helpers/tools.ts'

const cluster: ClusterSpec = {
  endpoint: 'api.lab.example:6443',
  version: 'v1.36.3',
  podSubnet: '10.244.0.0/16',
  serviceSubnet: '10.96.0.0/16'
}
const profile: ProfileSpec = {
  os: { name: 'fedora-coreos', version: '44', assets: 'fcos' },
  disks: { install: '/dev/vda' },
  kubernetes: { cluster: 'lab', role: 'worker', version: 'v1.35.4', runtime: 'crio' },
  labels: {
    rack: 'r1',
    'topology.kubernetes.io/zone': 'z1',
    'node-role.kubernetes.io/db': '',
    'slipway.dev/version': 'v9.9.9'
  },
  taints: [{ key: 'dedicated', value: 'db', effect: 'NoSchedule' }]
}
const joining = { node: 'n1', profile, cluster, caPem: 'PEM', token: 'abcdef.0123456789abcdef' }
const initialising = { node: 'cp1', profile, cluster, clusterName: 'lab', address: '192.0.2.7' }

t.test('a worker joins by file discovery, with its labels and taints', async t => {
  t.same(parse(joinConfiguration(joining)), {
    apiVersion: 'kubeadm.k8s.io/v1beta4',
    kind: 'JoinConfiguration',
    discovery: {
      file: { kubeConfigPath: '/run/slipway/discovery.conf' },
      tlsBootstrapToken: 'abcdef.0123456789abcdef'
    },
    nodeRegistration: {
      name: 'n1',
      criSocket: 'unix:///var/run/crio/crio.sock',
      taints: [{ key: 'dedicated', value: 'db', effect: 'NoSchedule' }],
      kubeletExtraArgs: [{ name: 'node-labels', value: 'rack=r1,topology.kubernetes.io/zone=z1' }]
    },
    timeouts: { tlsBootstrap: '10m0s' }
  })
})

t.test('the discovery file names one cluster without a name, and holds no secret', async t => {
  const text = discoveryKubeconfig(joining)
  t.notMatch(text, joining.token)
  t.match(await parseKubeconfig(text), {
    server: 'https://api.lab.example:6443',
    ca: { pem: 'PEM' },
    certificate: null,
    token: null
  })
})

t.test('the first control plane is told its address, its version, and not to make the stock token', async t => {
  const [init, configuration] = parseAllDocuments(initConfiguration(initialising)).map(document => document.toJS())
  t.match(init, {
    kind: 'InitConfiguration',
    localAPIEndpoint: { advertiseAddress: '192.0.2.7', bindPort: 6443 },
    skipPhases: ['bootstrap-token', 'show-join-command']
  })
  t.match(configuration, {
    kind: 'ClusterConfiguration',
    kubernetesVersion: 'v1.36.3',
    controlPlaneEndpoint: 'api.lab.example:6443',
    networking: { podSubnet: '10.244.0.0/16', serviceSubnet: '10.96.0.0/16' }
  })
})

t.test('which labels are whose', async t => {
  const rows: Array<[key: string, kubelets: boolean]> = [
    ['rack', true],
    ['example.com/x', true],
    ['topology.kubernetes.io/zone', true],
    ['feature.node.kubernetes.io/x', true],
    ['node-role.kubernetes.io/worker', false],
    ['kubernetes.io/x', false],
    ['x.k8s.io/y', false],
    ['slipway.node-restriction.kubernetes.io/row', false],
    ['slipway.dev/version', false]
  ]
  for (const [key, kubelets] of rows) t.equal(kubeletMayLabel(key), kubelets, key)
  t.same(serverLabels(profile.labels ?? {}), [['node-role.kubernetes.io/db', '']], 'an intent is nobody’s')
})

t.test('token characters come from all 36 alike', async t => {
  let next = 0
  const bytes = (size: number) => Buffer.from(Array.from({ length: size }, () => next++ % 256))
  const counts = new Map<string, number>()
  for (const character of randomText(bytes, 252 * 36)) counts.set(character, (counts.get(character) ?? 0) + 1)
  t.same([counts.size, new Set(counts.values()).size], [36, 1])
})

for (const version of ['1.35', '1.36']) {
  t.test(`kubeadm ${version} accepts them`, needsTools(), async t => {
    const folder = mkdtempSync(join(tmpdir(), 'slipway-kubeadm-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    const kubeadm = join(findTools() ?? '', version, 'kubeadm')
    const texts = {
      'join.yaml': joinConfiguration(joining),
      'init.yaml': initConfiguration(initialising),
      'plain.yaml': initConfiguration({
        ...initialising,
        address: null,
        profile: { ...profile, labels: {}, taints: [] }
      })
    }
    for (const [name, text] of Object.entries(texts)) {
      const path = join(folder, name)
      // kubeadm looks whether the discovery file is there.
      writeFileSync(path, text.replace(discoveryPath, path))
      const output = execFileSync(kubeadm, ['config', 'validate', '--config', path], {
        encoding: 'utf8',
        stdio: 'pipe'
      })
      t.match(output, /^ok\n|^$/, name)
    }
  })
}
