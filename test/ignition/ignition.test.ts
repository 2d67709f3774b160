// Ignition configs: golden, through the real ignition-validate, and applied by the real Ignition below a folder.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { execa } from 'execa'
import t, { type Test } from 'tap'
import { type IgnitionInput, renderIgnition } from '../../ignition/ignition.ts'
import { hostileTexts, randomText } from '../helpers/hostile.ts'
import { seeded } from '../helpers/random.ts'
import { needs } from '../helpers/require.ts'
import { findTools, needsTools } from '../helpers/tools.ts'

const unit = '[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n'

const plain: IgnitionInput = {
  authorities: [],
  directories: [{ path: '/etc/slipway', mode: 0o700 }],
  files: [
    {
      path: '/usr/local/bin/slipway-agent',
      mode: 0o755,
      contents: { url: 'http://10.0.0.1:8080/agent/x86_64', sha256: 'ab'.repeat(32) }
    },
    { path: '/etc/hostname', mode: 0o644, contents: 'r12n07\n' }
  ],
  users: [{ name: 'core', groups: [], sshAuthorizedKeys: ['ssh-ed25519 AAAA me', 'ssh-ed25519 AAAA me'] }],
  units: [
    { name: 'systemd-sysext.service', enabled: true },
    { name: 'slipway-agent.service', enabled: true, contents: unit }
  ]
}

t.test('a whole config: sorted, once each, modes in decimal', async t => {
  t.same(JSON.parse(renderIgnition(plain)), {
    ignition: { version: '3.4.0' },
    passwd: { users: [{ name: 'core', sshAuthorizedKeys: ['ssh-ed25519 AAAA me'] }] },
    storage: {
      directories: [{ path: '/etc/slipway', mode: 448 }],
      files: [
        { path: '/etc/hostname', mode: 420, overwrite: true, contents: { source: 'data:;base64,cjEybjA3Cg==' } },
        {
          path: '/usr/local/bin/slipway-agent',
          mode: 493,
          overwrite: true,
          contents: { source: 'http://10.0.0.1:8080/agent/x86_64', verification: { hash: `sha256-${'ab'.repeat(32)}` } }
        }
      ]
    },
    systemd: {
      units: [
        { name: 'slipway-agent.service', enabled: true, contents: unit },
        { name: 'systemd-sysext.service', enabled: true }
      ]
    }
  })
  const mixed = { ...plain, files: plain.files.toReversed(), units: plain.units.toReversed() }
  t.equal(renderIgnition(mixed), renderIgnition(plain), 'the order of the input does not matter')
})

t.test('Ignition itself accepts it, whatever texts it carries', needsTools(), async t => {
  const seed = Date.now() % 1_000_000
  const random = seeded(seed)
  const authority = readFileSync(join(import.meta.dirname, '..', 'fixtures', 'ca.crt'), 'utf8')
  const texts = [
    renderIgnition({ ...plain, authorities: [authority] }),
    renderIgnition({ authorities: [], directories: [], files: [], users: [], units: [] }),
    renderIgnition(hostileInput(hostileTexts)),
    renderIgnition(hostileInput(Array.from({ length: 60 }, () => randomText(random))))
  ]
  for (const [index, text] of texts.entries()) {
    const run = spawnSync(join(findTools()!, 'ignition-validate'), ['-'], { input: text, encoding: 'utf8' })
    t.equal(`${run.status} ${run.stdout}${run.stderr}`, '0 ', `text ${index}, seed ${seed}`)
  }
})

const root = needs({ root: true, programs: ['useradd'] })
t.test('the real Ignition applies it', { skip: root.skip || needsTools().skip }, async t => {
  const agent = 'the agent\n'
  const server = createServer((_request, response) => response.end(agent)).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await new Promise(done => server.once('listening', done))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/agent`
  const hash = createHash('sha256').update(agent).digest('hex')
  const texts = hostileTexts.map((contents, index) => ({ path: `/etc/many/${index}`, mode: 0o640, contents }))
  const input: IgnitionInput = {
    ...plain,
    users: [],
    files: [
      ...texts,
      { path: '/etc/slipway/boot.key', mode: 0o600, contents: 'key\n' },
      { path: '/usr/local/bin/slipway-agent', mode: 0o755, contents: { url, sha256: hash } }
    ]
  }
  const good = await apply(t, renderIgnition(input))
  t.equal(good.exitCode, 0, good.all)
  const stat = (path: string) => (statSync(join(good.root, path)).mode & 0o7777).toString(8)
  t.equal(stat('etc/slipway'), '700')
  t.equal(stat('etc/slipway/boot.key'), '600')
  t.equal(stat('usr/local/bin/slipway-agent'), '755')
  t.equal(readFileSync(join(good.root, 'usr/local/bin/slipway-agent'), 'utf8'), agent)
  t.equal(readFileSync(join(good.root, 'etc/systemd/system/slipway-agent.service'), 'utf8'), unit)
  t.match(
    readFileSync(join(good.root, 'etc/systemd/system-preset/20-ignition.preset'), 'utf8'),
    'enable systemd-sysext.service'
  )
  for (const { path, contents } of texts) {
    t.same(readFileSync(join(good.root, path)), Buffer.from(contents, 'utf8'), path)
  }
  const wrong = { path: '/usr/local/bin/slipway-agent', mode: 0o755, contents: { url, sha256: '0'.repeat(64) } }
  const bad = await apply(t, renderIgnition({ ...plain, users: [], files: [wrong] }))
  t.match(bad.all, 'hash verification failed')
  t.not(bad.exitCode, 0)
})

/** The stages fetch and files of the real program, with a folder for the new root. */
async function apply(t: Test, text: string) {
  const folder = t.testdir({
    bin: { setfiles: '#!/bin/sh\ncat >/dev/null\n' },
    root: { etc: { selinux: { config: 'SELINUX=disabled\nSELINUXTYPE=targeted\n' } } },
    'config.ign': text
  })
  chmodSync(join(folder, 'bin', 'setfiles'), 0o755)
  writeFileSync(join(folder, 'neednet'), '')
  const run = async (stage: string) =>
    await execa(
      join(findTools()!, 'ignition'),
      [
        '--platform=file',
        `--stage=${stage}`,
        `--root=${folder}/root`,
        `--config-cache=${folder}/ignition.json`,
        `--state-file=${folder}/state`,
        `--neednet=${folder}/neednet`,
        '--log-to-stdout',
        '--fetch-timeout=10s'
      ],
      {
        env: { IGNITION_CONFIG_FILE: `${folder}/config.ign`, PATH: `${folder}/bin:${process.env.PATH}` },
        all: true,
        reject: false,
        timeout: 60_000
      }
    )
  const fetched = await run('fetch')
  const { exitCode, all } = fetched.exitCode === 0 ? await run('files') : fetched
  return { exitCode, all, root: join(folder, 'root') }
}

function hostileInput(texts: readonly string[]): IgnitionInput {
  return {
    authorities: [],
    directories: [],
    users: texts.map((text, index) => ({ name: `u${index}`, groups: [], sshAuthorizedKeys: [`ssh-rsa AAAA ${text}`] })),
    files: texts.map((contents, index) => ({ path: `/etc/x${index}é'"$(x)`, mode: 0o600, contents })),
    // Ignition parses units: their texts are the operator's, and checked there. Ours hold no foreign text.
    units: []
  }
}
