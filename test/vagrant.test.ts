// The Vagrantfile at the top: what `vagrant validate` makes of it, for one machine and for many, and what it refuses.
// No machine is started here: the same firmware boots in test/e2e.

import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { needs } from './helpers/require.ts'

const root = join(import.meta.dirname, '..')

const rows: Array<[name: string, env: Record<string, string>, status: number, says: RegExp]> = [
  ['as it is', {}, 0, /validated successfully/],
  ['sixteen machines, emulated', { LAB_MACHINES: '16', LAB_ACCEL: 'qemu' }, 0, /validated successfully/],
  ['with less memory and KVM', { LAB_MEMORY: '1024', LAB_ACCEL: 'kvm' }, 0, /validated successfully/],
  ['more machines than addresses', { LAB_MACHINES: '17' }, 1, /LAB_MACHINES must be 1 to 16/]
]

t.test('Vagrantfile', needs({ programs: ['vagrant'] }), async t => {
  const home = mkdtempSync(join(tmpdir(), 'slipway-vagrant-'))
  t.teardown(() => rmSync(home, { recursive: true, force: true }))

  for (const [name, env, status, says] of rows) {
    const { exitCode, output } = await vagrant(home, env)
    t.equal(exitCode, status, `${name}: ${output}`)
    t.match(output, says, name)
  }
})

function vagrant(home: string, extra: Record<string, string>): Promise<{ exitCode: number; output: string }> {
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    VAGRANT_HOME: home,
    VAGRANT_DOTFILE_PATH: join(home, 'state'),
    VAGRANT_CHECKPOINT_DISABLE: '1',
    VAGRANT_DEFAULT_PROVIDER: 'libvirt',
    ...extra
  }
  return new Promise(resolve => {
    execFile('vagrant', ['validate'], { cwd: root, env, timeout: 60_000 }, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : typeof error.code === 'number' ? error.code : 255
      resolve({ exitCode, output: stdout + stderr })
    })
  })
}
