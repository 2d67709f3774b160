// What a machine is given for a boot: the same things by Ignition and by kickstart, with the modes they need.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { configKind, installerAssets, renderConfig } from '../../../server/boot/config.ts'
import type { Machine } from '../../../server/contract/machine.ts'
import type { Profile } from '../../../server/contract/document.ts'
import { findTools, needsTools } from '../../helpers/tools.ts'
import { findKsvalidator } from '../../helpers/pykickstart.ts'
import { machineOf, material, profileOf } from './fixtures.ts'

const extras = {
  users: [{ name: 'ops', groups: ['wheel'], sshAuthorizedKeys: ['ssh-ed25519 AAAA ops@desk'] }],
  files: [{ path: '/etc/motd', contents: 'hello ${you}\n' }],
  units: [
    {
      name: 'hello.service',
      enabled: true,
      contents: '[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n'
    }
  ]
}
const coreos = profileOf('fedora-coreos', extras)
const centos = profileOf('centos-stream', { ...extras, packages: ['vim-enhanced'] })

interface Carried {
  files: Map<string, { mode: string; contents: string }>
  enabled: string[]
}

function fromIgnition(text: string): Carried {
  const { storage, systemd } = JSON.parse(text)
  const files = new Map<string, { mode: string; contents: string }>()
  for (const { path, mode, contents } of storage.files) {
    const [, data] = contents.source.split('data:;base64,')
    const shown = data === undefined ? `${contents.source} ${contents.verification.hash.slice(7)}` : decode(data)
    files.set(path, { mode: `0${mode.toString(8)}`, contents: shown })
  }
  for (const { name, contents } of systemd.units) {
    if (contents !== undefined) files.set(`/etc/systemd/system/${name}`, { mode: '0644', contents })
  }
  const enabled = systemd.units.filter((unit: { enabled?: boolean }) => unit.enabled)
  return { files, enabled: enabled.map(({ name }: { name: string }) => name).toSorted() }
}

function fromKickstart(text: string): Carried {
  const puts = text.matchAll(/^put (\S+) (\d+) <<'EOF'\n([^]*?)\n?EOF$/gm)
  const files = new Map(Array.from(puts, ([, path, mode, data]) => [path!, { mode: mode!, contents: decode(data!) }]))
  for (const [, path, mode, url, sha256] of text.matchAll(/^fetch (\S+) (\d+) (\S+) (\S+)$/gm)) {
    files.set(path!, { mode: mode!, contents: `${url} ${sha256}` })
  }
  const [, enabled = ''] = /^systemctl --root="\$root" enable (.*)$/m.exec(text) ?? []
  return { files, enabled: enabled.split(' ') }
}

function decode(data: string): string {
  return Buffer.from(data, 'base64').toString('utf8')
}

t.test('Ignition and kickstart carry the same things', async t => {
  const ignition = renderConfig(machineOf(), coreos, material)
  const kickstart = renderConfig(machineOf(), centos, material)
  t.equal(ignition.kind, 'ignition')
  t.equal(kickstart.kind, 'kickstart')
  const one = fromIgnition(ignition.text)
  const other = fromKickstart(kickstart.text)
  t.same(one.enabled, ['containerd.service', 'hello.service', 'slipway-agent.service', 'systemd-sysext.service'])
  t.same(other.enabled, one.enabled)
  one.files.delete('/etc/zincati/config.d/90-slipway.toml')
  other.files.delete('/etc/containerd/config.toml')
  t.same(Object.fromEntries(other.files), Object.fromEntries(one.files))
  t.same(
    [...one.files].map(([path, { mode }]) => `${mode} ${path}`),
    [
      '0644 /etc/hostname',
      '0644 /etc/modules-load.d/slipway.conf',
      '0644 /etc/motd',
      '0600 /etc/slipway/agent.json',
      '0644 /etc/slipway/boot.crt',
      '0600 /etc/slipway/boot.key',
      '0644 /etc/slipway/ca.crt',
      '0644 /etc/sysctl.d/90-slipway.conf',
      '0755 /usr/local/bin/slipway-agent',
      '0644 /etc/systemd/system/hello.service',
      '0644 /etc/systemd/system/slipway-agent.service'
    ]
  )
  t.equal(one.files.get('/usr/local/bin/slipway-agent')?.contents, `${material.agentUrl} ${material.agentSha256}`)
  t.equal(one.files.get('/etc/slipway/boot.key')?.contents, material.keyPem)
  t.same(JSON.parse(one.files.get('/etc/slipway/agent.json')!.contents), {
    server: 'https://10.0.0.1:8443',
    ca: '/etc/slipway/ca.crt',
    bootCertificate: '/etc/slipway/boot.crt',
    bootKey: '/etc/slipway/boot.key',
    runtime: 'containerd'
  })
  t.match(kickstart.text, /^%packages\n(.+\n)*containerd\.io\nvim-enhanced\n%end$/m)
  t.match(
    kickstart.text,
    'repo --name=slipway --baseurl=http://10.0.0.1:8080/assets/centos-stream/10/packages --install\n'
  )
  t.notMatch(ignition.text + kickstart.text, 'c2VjcmV0\n-----END', 'the key is not written in clear')
})

t.test('the programs that will read them accept them', { skip: needsTools().skip }, async t => {
  const ignition = renderConfig(machineOf(), coreos, material)
  const run = spawnSync(join(findTools()!, 'ignition-validate'), ['-'], { input: ignition.text, encoding: 'utf8' })
  // The certificate of the fixture is none: that is all that Ignition may find.
  t.match(`${run.stdout}${run.stderr}`, /^$|certificate/)
  const validator = findKsvalidator()
  if ('why' in validator) return
  for (const [version, wipe] of [
    ['9', true],
    ['10', false]
  ] as const) {
    const profile = profileOf('centos-stream', { os: { version, kernelArguments: ['console=ttyS0'] } })
    const folder = t.testdir({ 'a.ks': renderConfig(machineOf({ wipe }), profile, material).text })
    const checked = spawnSync(validator.program, ['-v', `RHEL${version}`, join(folder, 'a.ks')], { encoding: 'utf8' })
    t.equal(checked.status, 0, checked.stdout + checked.stderr)
  }
})

t.test('what differs by profile and machine', async t => {
  const crio = profileOf('centos-stream', {
    kubernetes: { cluster: 'main', role: 'worker', version: 'v1.35.4', runtime: 'crio' }
  })
  const { text } = renderConfig(machineOf({ wipe: true }), crio, material)
  t.match(text, '\ncri-o\n')
  t.match(text, ' crio.service ')
  t.notMatch(text, 'wipefs', 'an armed wipe asks no questions')
  t.match(renderConfig(machineOf(), crio, material).text, 'wipefs')
  t.equal(configKind(coreos), 'ignition')
  t.same(installerAssets(coreos), [
    'fedora-coreos/43/vmlinuz',
    'fedora-coreos/43/initrd.img',
    'fedora-coreos/43/rootfs.img'
  ])
  const own = profileOf('fedora-coreos', {
    files: [{ path: '/etc/sysctl.d/90-slipway.conf', contents: '', mode: '0600' }]
  })
  t.same(fromIgnition(renderConfig(machineOf(), own, material).text).files.get('/etc/sysctl.d/90-slipway.conf'), {
    mode: '0600',
    contents: ''
  })
})

t.test('what cannot be rendered is a fault that says what to do', async t => {
  const rows: [string, Partial<Machine>, Profile, RegExp][] = [
    ['no name', { name: null }, coreos, /m-12345678 has no name yet; approve it first/],
    [
      'our file',
      {},
      profileOf('fedora-coreos', { files: [{ path: '/etc/slipway/boot.key', contents: '' }] }),
      /writes \/etc\/slipway\/boot.key/
    ],
    [
      'our unit',
      {},
      profileOf('fedora-coreos', { units: [{ name: 'slipway-agent.service', contents: '' }] }),
      /has a unit slipway-agent/
    ]
  ]
  for (const [name, changes, profile, want] of rows) {
    t.throws(() => renderConfig(machineOf(changes), profile, material), { name: 'Fault', message: want }, name)
  }
})
