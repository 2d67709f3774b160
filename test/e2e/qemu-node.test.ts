// From power-on to a Ready node, and from there to the next Kubernetes by its label, with nothing simulated but the
// electricity: real firmware in QEMU, real Ignition, kubeadm, kubelet and API server, the agent as built for release.
// Apart from `npm test`: minutes long under emulation. SLIPWAY_E2E=bios|uefi|all chooses (default all); root is needed.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { MIRRORED_VERSION } from '../../server/contract/names.ts'
import { missing, needs } from '../helpers/require.ts'
import { needsTools } from '../helpers/tools.ts'
import { buildFiles, buildImages, buildPrograms } from '../lab/os/build.ts'
import type { Firmware } from '../lab/qemu.ts'
import { explain, provision, type Provisioned } from './provision.ts'
import { type Artifacts, openStage, type Stage } from './stage.ts'
import { show, storyOf, wantedStory } from './story.ts'
import { upgrade } from './upgrade.ts'

const root = join(import.meta.dirname, '..', '..')
const chosen = process.env.SLIPWAY_E2E ?? 'all'
const minute = 60_000

const wants = {
  root: true,
  programs: ['ip', 'socat', 'curl', 'qemu-system-x86_64', ...buildPrograms],
  files: ['/usr/share/OVMF/OVMF_CODE_4M.fd', ...buildFiles]
}
const options = missing(wants) === null ? needsTools() : needs(wants)

t.setTimeout(40 * minute)

t.test('real firmware to a real node', options, async t => {
  t.setTimeout(40 * minute)
  const artifacts = { images: await buildImages(), agent: buildAgent() }
  for (const firmware of ['uefi', 'bios'] as const) {
    const skip = chosen === 'all' || chosen === firmware ? false : `SLIPWAY_E2E is ${chosen}`
    await t.test(firmware, { skip, timeout: 25 * minute }, async t => run(t, firmware, artifacts))
  }
})

async function run(t: Test, firmware: Firmware, artifacts: Artifacts): Promise<void> {
  const stage = await openStage(artifacts)
  t.teardown(() => stage.close())
  // To stderr: these figures are for whoever looks on, and no part of what is reported.
  const node = await provision(stage, firmware, line => process.stderr.write(`${line}\n`))
  try {
    await t.test('the node', t => checkNode(t, stage, node))
    await t.test('the whole timeline', async t => {
      const events = await stage.timeline(node.id)
      t.comment(show(events))
      t.same(storyOf(events), wantedStory[firmware])
      const types = events.map(({ type }) => type)
      t.ok(types.indexOf('machine.ready') > types.indexOf('join.csr-approved'), 'Ready comes after the join')
      const warnings = events.filter(({ level }) => level === 'warning').map(({ message }) => message)
      t.same(warnings, [], 'nothing for anybody to look at')
    })
    await t.test('the machine', t => checkMachine(t, stage, node, artifacts))
    if (firmware === 'bios') await t.test('the label', { timeout: 15 * minute }, t => upgrade(t, stage, node))
  } catch (error) {
    t.comment(await explain(stage, node.guest))
    throw error
  } finally {
    await node.guest.stop()
  }
}

async function checkNode(t: Test, stage: Stage, { name }: Provisioned): Promise<void> {
  const node = JSON.parse(await stage.kubectl(['get', 'node', name, '-o', 'json'])) as {
    metadata: { labels: Record<string, string> }
    spec: { unschedulable?: boolean }
    status: { nodeInfo: { kubeletVersion: string }; conditions: Array<{ type: string; status: string }> }
  }
  const { labels } = node.metadata
  t.equal(node.status.nodeInfo.kubeletVersion, 'v1.35.4')
  t.equal(node.status.conditions.find(({ type }) => type === 'Ready')?.status, 'True', 'it is Ready')
  t.not(node.spec.unschedulable, true)
  t.match(labels, { 'feature.node.kubernetes.io/kernel-version.major': '6', 'example.com/rack': 'lab' })
  t.equal(labels[MIRRORED_VERSION], undefined, 'nobody has asked for another version')
  const secrets = await stage.kubectl(['-n', 'kube-system', 'get', 'secrets', '-o', 'name'])
  t.notMatch(secrets, /bootstrap-token/, 'its join token is gone')
  const requests = await stage.kubectl(['get', 'csr', '-o', 'jsonpath={range .items[*]}{.spec.username} {end}'])
  t.match(requests, /^system:bootstrap:[a-z0-9]{6} $/, 'one request, of that token')
}

async function checkMachine(t: Test, stage: Stage, node: Provisioned, { agent }: Artifacts): Promise<void> {
  const { namespace } = stage
  const ask = async (script: string): Promise<string> => (await node.guest.shell(node.address, script)).output.trim()
  t.equal(await ask('systemctl is-system-running'), 'running')
  t.equal(await ask('hostname'), node.name)
  const sum = execFileSync('sha256sum', [agent], { encoding: 'utf8' }).split(' ')[0]
  t.equal(await ask('sha256sum </usr/local/bin/slipway-agent | cut -d" " -f1'), sum, 'the agent as built for release')
  t.equal(await ask('stat -c "%a %U" /etc/slipway/boot.key'), '600 root')
  t.equal(await ask('ls /boot/ignition /boot/ignition.firstboot 2>/dev/null'), '/boot/ignition:', 'no config is left')
  t.equal(await ask('ls /etc/kubernetes/bootstrap-kubelet.conf 2>/dev/null'), '', 'no token is left')
  const joined = await ask('cat /etc/kubernetes/kubelet.conf /var/lib/kubelet/config.yaml')
  t.match(joined, /kubelet-client-current\.pem/)
  const again = await namespace.run('ls', [join(stage.folder, 'data')])
  t.notMatch(again.stdout, /kubeconfig/, 'no credential of the cluster but the one it was given')
  t.match(readFileSync(join(stage.folder, 'data', 'ca', 'ca.crt'), 'utf8'), /BEGIN CERTIFICATE/)
}

function buildAgent(): string {
  execFileSync(process.execPath, [join(root, 'agent', 'build.ts')], { cwd: root, timeout: 5 * minute })
  return join(root, 'build', 'agent', 'slipway-agent-x86_64')
}
