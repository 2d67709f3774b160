// The simulated Ignition writes what a config says, verifies what it fetches, and refuses what it cannot do.

import { createHash } from 'node:crypto'
import { lstat, readFile, readlink, stat } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { renderIgnition } from '../../ignition/ignition.ts'
import { applyIgnition } from './rack/ignition.ts'

const agent = Buffer.from('#!/bin/sh\n')
const sha256 = createHash('sha256').update(agent).digest('hex')
const fetch = async (url: string): Promise<Buffer> => {
  if (url !== 'http://127.0.0.1/agent') throw new Error(`${url}: 404`)
  return agent
}

t.test('our own config is applied', async t => {
  const root = t.testdir()
  const text = renderIgnition({
    authorities: [],
    directories: [{ path: '/etc/slipway', mode: 0o700 }],
    files: [
      { path: '/etc/hostname', mode: 0o644, contents: 'worker-1\n' },
      { path: '/etc/slipway/boot.key', mode: 0o600, contents: 'key\n' },
      { path: '/usr/local/bin/agent', mode: 0o755, contents: { url: 'http://127.0.0.1/agent', sha256 } }
    ],
    users: [{ name: 'core', groups: [], sshAuthorizedKeys: ['ssh-ed25519 AAAA'] }],
    units: [{ name: 'agent.service', enabled: true, contents: '[Service]\n' }]
  })
  await applyIgnition(text, root, fetch)
  const mode = async (path: string) => ((await stat(join(root, path))).mode & 0o777).toString(8)
  t.equal(await readFile(join(root, 'etc/hostname'), 'utf8'), 'worker-1\n')
  t.same(await Promise.all(['etc/slipway', 'etc/slipway/boot.key', 'usr/local/bin/agent'].map(mode)), [
    '700',
    '600',
    '755'
  ])
  t.equal(await readFile(join(root, 'home/core/.ssh/authorized_keys.d/ignition'), 'utf8'), 'ssh-ed25519 AAAA\n')
  const wanted = join(root, 'etc/systemd/system/multi-user.target.wants/agent.service')
  t.equal(await readlink(wanted), '/etc/systemd/system/agent.service')
})

const v = { version: '3.4.0' }
const file = (entry: object) => ({ ignition: v, storage: { files: [entry] } })
const refused: [name: string, config: unknown, why: RegExp][] = [
  ['another version', { ignition: { version: '2.3.0' } }, /unsupported config version 2\.3\.0/],
  ['a template error instead of JSON', 'not json', /not JSON/],
  ['disks', { ignition: v, storage: { disks: [] } }, /does not do: disks/],
  ['a merged config', { ignition: { ...v, config: { merge: [] } } }, /does not do: merge/],
  ['a path out of the machine', file({ path: '/../x' }), /path/],
  [
    'a wrong hash',
    file({ path: '/a', contents: { source: 'data:,x', verification: { hash: `sha256-${sha256}` } } }),
    /hash verification failed/
  ],
  ['a source that is not there', file({ path: '/a', contents: { source: 'http://127.0.0.1/none' } }), /404/]
]

t.test('what it refuses', async t => {
  for (const [name, config, why] of refused) {
    const root = t.testdir()
    const text = typeof config === 'string' ? config : JSON.stringify(config)
    await t.rejects(applyIgnition(text, root, fetch), why, name)
    await t.rejects(lstat(join(root, 'a')), { code: 'ENOENT' }, `${name}: nothing was written`)
  }
})
