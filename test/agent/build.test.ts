// The executable as it is released: what it needs of a machine, what it weighs, that it runs. Built once and kept.

import { statSync } from 'node:fs'
import { execa } from 'execa'
import t from 'tap'
import { buildAgent, bundleAgent, defaultOutput, nativeArch } from '../../agent/build.ts'
import { AGENT_VERSION } from '../../agent/version.ts'
import manifest from '../../package.json' with { type: 'json' }
import { limits } from '../bench/agent.ts'
import { needs } from '../helpers/require.ts'

// Seconds on an idle machine; the machine may be busy.
t.setTimeout(110_000)

t.test('the version is the package’s', async t => t.equal(AGENT_VERSION, manifest.version))

t.test('the bundle holds no schema library and no server', async t => {
  const bundle = await bundleAgent()
  for (const name of ['fastify', 'typebox', 'ajv', 'pino', 'kysely'])
    t.notOk(bundle.includes(`node_modules/${name}`), name)
  t.ok(bundle.length < 800_000, `${bundle.length} bytes`)
})

t.test('the executable', { timeout: 300_000, ...needs({ programs: ['npm', 'tar', 'strip', 'readelf'] }) }, async t => {
  const file = await buildAgent(nativeArch, defaultOutput(nativeArch), line => t.comment(line))
  t.ok(statSync(file).size <= limits.fileMB * 1e6, `${statSync(file).size} bytes`)
  const { stdout } = await execa('readelf', ['--dynamic', '--version-info', file], { env: { LC_ALL: 'C' } })
  const needed = [...stdout.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map(match => match[1])
  t.notOk(needed.includes('libatomic.so.1'), 'Fedora CoreOS has no libatomic')
  const glibc = [...stdout.matchAll(/GLIBC_2\.(\d+)/g)].map(match => Number(match[1]))
  t.ok(Math.max(...glibc) <= 34, `needs glibc 2.${Math.max(...glibc)}`)

  t.equal((await execa(file, ['version'])).stdout, AGENT_VERSION)
  const options = { env: { NODE_OPTIONS: '--require /nonexistent' } }
  t.equal((await execa(file, ['version'], options)).stdout, AGENT_VERSION, 'NODE_OPTIONS is not listened to')
  t.match((await execa(file, ['--help'])).stdout, /--root DIR/)
  t.match(await execa(file, ['dance'], { reject: false }), { exitCode: 2, stderr: /there is no command dance/ })
  const lost = await execa(file, ['run', '--root', t.testdir()], { reject: false })
  t.match(lost, { exitCode: 1, stdout: /"event":"agent.started"/, stderr: /agent.json is missing/ })
})
