// Contract rows about joining: bootstrap tokens, the rights that Slipway installs for them, certificate requests, and
// the policy that keeps nodes from the intent labels. The objects are the ones that server/kube installs.

import { createKubeClient } from '../../server/kubeapi/client.ts'
import type { CertificateSigningRequest, KubeNode } from '../../server/kubeapi/objects.ts'
import { paths } from '../../server/kubeapi/paths.ts'
import { installObjects } from '../../server/kube/install.ts'
import type { Row } from './objects.ts'
import { approved, csrObject, eventually, issued, kubeletRequest, refusal, statusOf, type Target } from './targets.ts'

async function mint(target: Target, id: string, change: object = {}): Promise<string> {
  const secret = '0123456789abcdef'
  await target.admin.create(paths.secrets('kube-system'), {
    type: 'bootstrap.kubernetes.io/token',
    metadata: { name: `bootstrap-token-${id}` },
    stringData: {
      'token-id': id,
      'token-secret': secret,
      expiration: '2126-01-01T00:00:00Z',
      'usage-bootstrap-authentication': 'true',
      'auth-extra-groups': 'system:bootstrappers:slipway:worker',
      ...change
    }
  })
  return `${id}.${secret}`
}

/** The authenticator hears of the Secret a moment later. */
async function known(target: Target, token: string): Promise<ReturnType<Target['bearer']>> {
  const client = target.bearer(token)
  await eventually(async () => ((await statusOf(client.get(paths.csrs))) === 0 ? true : null))
  return client
}

const ours = (csr: CertificateSigningRequest) => (csr.status?.conditions ?? []).map(({ type }) => type)

export const joiningRows: readonly Row[] = [
  {
    name: 'the installation can be repeated, and mends what was changed',
    async run(t, { admin }) {
      t.ok((await installObjects(admin)) > 0)
      t.equal(await installObjects(admin), 0)
      const role = paths.named(paths.clusterRoles, 'slipway:join')
      await admin.patch(role, { rules: [] }, 'merge')
      t.equal(await installObjects(admin), 1)
      t.equal(await installObjects(admin), 0)
    }
  },
  {
    name: 'a token of our group may do what kubeadm join needs, and no more',
    async run(t, target) {
      await installObjects(target.admin)
      const client = await known(target, await mint(target, 'rights'))
      const table: Array<[path: string, want: number]> = [
        [paths.configMap('kube-system', 'kubeadm-config'), 0],
        [paths.configMap('kube-system', 'kubelet-config'), 0],
        [paths.configMap('kube-system', 'kube-proxy'), 403],
        [paths.node('nobody'), 404],
        [paths.nodes, 403],
        [paths.secrets('kube-system'), 403],
        [paths.allPods, 403]
      ]
      for (const [path, want] of table) t.equal(await statusOf(client.get(path)), want, path)
    }
  },
  {
    // A deleted one is not asked for: a real server goes on to accept, for 10 s, a token that it has just accepted.
    name: 'a token that is wrong or expired is nobody',
    async run(t, target) {
      await installObjects(target.admin)
      const expired = await mint(target, 'expire', { expiration: '2020-01-01T00:00:00Z' })
      const signs = await mint(target, 'signer', { 'usage-bootstrap-authentication': 'false' })
      await known(target, await mint(target, 'goodto'))
      for (const token of [expired, signs, 'goodto.0000000000000000', 'nobody.0123456789abcdef']) {
        t.equal(await statusOf(target.bearer(token).get(paths.csrs)), 401)
      }
    }
  },
  {
    name: 'a token’s request waits for approval, is then issued, and the certificate is the node’s',
    async run(t, target) {
      await installObjects(target.admin)
      const client = await known(target, await mint(target, 'joiner'))
      const { pem, keyPem } = kubeletRequest('joiner')
      const made = await client.create<CertificateSigningRequest>(paths.csrs, csrObject('join-joiner', pem))
      t.equal(made.spec.username, 'system:bootstrap:joiner')
      t.ok(made.spec.groups?.includes('system:bootstrappers:slipway:worker'))
      t.strictSame(ours(await target.admin.get(paths.csr('join-joiner'))), [])
      t.equal(await statusOf(client.replace(paths.csrApproval('join-joiner'), approved(made))), 403)
      await target.admin.replace(paths.csrApproval('join-joiner'), approved(made))
      const certificatePem = await issued(target.admin, 'join-joiner')
      const node = createKubeClient(async () => credentials)
      const { server, caPem } = target
      const credentials = { server, caPem, serverName: null, certificatePem, keyPem, token: null }
      t.teardown(() => node.close())
      const registered = await node.create<KubeNode>(paths.nodes, { metadata: { name: 'joiner' } })
      t.equal(registered.metadata.name, 'joiner')
      t.equal(await statusOf(node.create(paths.nodes, { metadata: { name: 'another' } })), 403)
    }
  },
  {
    name: 'a denied request is never issued, and cannot be approved afterwards',
    async run(t, target) {
      await installObjects(target.admin)
      const client = await known(target, await mint(target, 'denied'))
      const { pem } = kubeletRequest('denied')
      const made = await client.create<CertificateSigningRequest>(paths.csrs, csrObject('join-denied', pem))
      const denied = await target.admin.replace<CertificateSigningRequest>(
        paths.csrApproval('join-denied'),
        approved(made, 'Denied')
      )
      t.strictSame(ours(denied), ['Denied'])
      const both = [
        ...(approved(denied) as CertificateSigningRequest).status!.conditions!,
        ...denied.status!.conditions!
      ]
      const contrary = { ...denied, status: { conditions: both } }
      t.equal(await statusOf(target.admin.replace(paths.csrApproval('join-denied'), contrary)), 422)
      t.equal(await statusOf(client.create(paths.csrs, csrObject('nonsense', 'no request'))), 422)
    }
  },
  {
    name: 'a kubelet renews its own certificate by itself, and asks for no other name',
    async run(t, target) {
      await installObjects(target.admin)
      const kubelet = await target.kubelet('n1')
      const { pem } = kubeletRequest('n1')
      // RBAC hears of the new binding a moment later.
      await eventually(async () => {
        const name = `renew-${process.hrtime.bigint()}`
        await kubelet.create(paths.csrs, csrObject(name, pem))
        return Promise.race([issued(target.admin, name), new Promise<null>(resolve => setTimeout(resolve, 1000, null))])
      })
      t.match(await refusal(kubelet.create(paths.csrs, csrObject('other', kubeletRequest('n2').pem))), {
        status: 403,
        message: /can only create a node CSR with CN=system:node:n1/
      })
      t.equal(await statusOf(kubelet.delete(paths.csr('for-n1'))), 403)
    }
  },
  {
    name: 'a node cannot set, change or remove an intent label; an administrator can, and is no obstacle',
    async run(t, target) {
      await installObjects(target.admin)
      const kubelet = await target.kubelet('n1')
      const label = (key: string, value: string | null) => ({ metadata: { labels: { [key]: value } } })
      const set = async (client: typeof kubelet, key: string, value: string | null) =>
        statusOf(client.patch(paths.node('n1'), label(key, value), 'merge'))
      // In force some seconds after it was made; asked without effect, since writing the same again is no change.
      const probe = async () =>
        statusOf(
          kubelet.patch(paths.node('n1'), label('slipway.dev/version', 'v9.9.9'), 'merge', { query: { dryRun: 'All' } })
        )
      await eventually(async () => ((await probe()) === 403 ? true : null))
      for (const key of ['slipway.dev/version', 'slipway.dev/maintenance', 'slipway.dev/reinstall']) {
        await set(target.admin, key, null)
        t.equal(await set(kubelet, key, 'x'), 403, `sets ${key}`)
        t.equal(await set(target.admin, key, 'v1.36.3'), 0, `administrator sets ${key}`)
        t.equal(await set(kubelet, key, 'v1.36.9'), 403, `changes ${key}`)
        t.equal(await set(kubelet, key, null), 403, `removes ${key}`)
      }
      const byStatus = kubelet.patch(paths.nodeStatus('n1'), label('slipway.dev/version', 'x'), 'merge')
      t.match(await refusal(byStatus), {
        status: 403,
        reason: /Forbidden|Invalid/,
        message:
          /ValidatingAdmissionPolicy 'slipway-intent-labels' with binding 'slipway-intent-labels' denied request: nodes may not/
      })
      t.equal(await set(kubelet, 'slipway.dev/state', 'ready'), 0)
      t.equal(await statusOf(kubelet.patch(paths.node('n1'), { spec: { unschedulable: true } }, 'merge')), 0)
      await kubelet.patch(paths.node('n1'), { spec: { unschedulable: null } }, 'merge')
    }
  }
]
