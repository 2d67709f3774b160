// The scripts of our own kickstart really run, in a folder; a script that would touch anything else does not.

import { createHash } from 'node:crypto'
import { chmod, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { renderKickstart } from '../../kickstart/kickstart.ts'
import { linkTools, parseKickstart, runKickstart, strayPath } from './rack/kickstart.ts'

const agent = '#!/bin/sh\necho agent\n'
const key = "-----BEGIN KEY-----\nit's $HOME `id` %end\n-----END KEY-----\n"

function ours(overrides: Partial<Parameters<typeof renderKickstart>[0]> = {}): string {
  return renderKickstart({
    hostname: 'worker-1',
    disk: '/dev/disk/by-id/virtio-lab',
    data: 'refuse',
    reportUrl: null,
    kernelArguments: [],
    repositories: [],
    packages: ['containerd.io'],
    users: [],
    directories: [{ path: '/etc/slipway', mode: 0o700 }],
    files: [
      { path: '/etc/slipway/boot.key', mode: 0o600, contents: key },
      {
        path: '/usr/local/bin/slipway-agent',
        mode: 0o755,
        contents: { url: 'http://127.0.0.1/agent', sha256: createHash('sha256').update(agent).digest('hex') }
      }
    ],
    units: [{ name: 'slipway-agent.service', enabled: true, contents: '[Service]\n' }],
    ...overrides
  })
}

/** Installer programs as little scripts; the lab's own call the rack. */
async function installer(t: Test, programs: Record<string, string>) {
  const folder = t.testdir({ bin: programs, sysroot: {}, tmp: {} })
  for (const name of Object.keys(programs)) await chmod(join(folder, 'bin', name), 0o755)
  await linkTools(join(folder, 'tools'))
  return {
    sysroot: join(folder, 'sysroot'),
    temporary: join(folder, 'tmp'),
    sys: join(folder, 'sys'),
    path: `${join(folder, 'bin')}:${join(folder, 'tools')}`,
    signal: new AbortController().signal
  }
}

const blank = {
  lsblk: '#!/bin/sh\necho vda\n',
  wipefs: '#!/bin/sh\n',
  curl: `#!/bin/sh\nwhile [ "$1" != --output ]; do shift; done\nprintf '%s' '${agent}' > "$2"\n`,
  systemctl: '#!/bin/sh\necho "$@" > "${1#--root=}/enabled"\n'
}

t.test('our kickstart installs', async t => {
  const machine = await installer(t, blank)
  await runKickstart(ours(), machine)
  t.equal(await readFile(join(machine.sysroot, 'etc/slipway/boot.key'), 'utf8'), key)
  t.equal((await stat(join(machine.sysroot, 'etc/slipway/boot.key'))).mode & 0o777, 0o600)
  t.equal(await readFile(join(machine.sysroot, 'usr/local/bin/slipway-agent'), 'utf8'), agent)
  t.match(await readFile(join(machine.sysroot, 'enabled'), 'utf8'), /enable slipway-agent\.service/)
  t.match(await readFile(join(machine.temporary, 'slipway-disk.ks'), 'utf8'), /clearpart/)
})

t.test('what stops an installation', async t => {
  const rows: [name: string, programs: Record<string, string>, text: string, why: RegExp][] = [
    ['no such disk', { ...blank, lsblk: '#!/bin/sh\nexit 32\n' }, ours(), /has no disk/],
    ['a disk with data', { ...blank, wipefs: '#!/bin/sh\necho xfs\n' }, ours(), /holds data/],
    ['an agent with another hash', { ...blank, curl: blank.curl.replace('echo agent', 'evil') }, ours(), /%post ended/],
    ['a section without %end', blank, '%pre\necho\n', /no %end/],
    ['a script that leaves the folder', blank, '%post\necho > /etc/slipway-was-here\n%end\n', /names \/etc/]
  ]
  for (const [name, programs, text, why] of rows) {
    const machine = await installer(t, programs)
    await t.rejects(runKickstart(text, machine), why, name)
    t.notOk((await readdir(machine.sysroot)).includes('enabled'), `${name}: nothing was enabled`)
  }
})

t.test('sections', async t => {
  const { commands, sections } = parseKickstart('text\n# no\n%pre --erroronfail\necho 1\n%end\n%packages\na\n%end\n')
  t.same(commands, ['text'])
  t.same(sections, [
    { name: 'pre', options: ['--erroronfail'], text: 'echo 1' },
    { name: 'packages', options: [], text: 'a' }
  ])
})

t.test('paths that a script must not name', async t => {
  const rows: [script: string, path: string | null][] = [
    ['echo x > "$root/etc/x"', null],
    ['echo x >/dev/null', null],
    ["put /etc/x 0644 <<'EOF'\nrm -rf /home\nEOF", null],
    ['# rm /etc/x', null],
    ['echo x >> /etc/x', '/etc/x'],
    ['rm -rf /home', '/home'],
    ['true && mkdir -p "/opt/x"', '/opt/x'],
    ['cat < "/etc/shadow"', '/etc/shadow']
  ]
  for (const [script, path] of rows) t.equal(strayPath(script), path, script)
})
