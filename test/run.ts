// `npm test`: the checks (types, lint, format), then every test that this machine allows, then what was left out and
// why. `npm test -- FILE…` runs only those files. Ends with a line `N passed, N failed, N skipped`.

import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'

const root = resolve(import.meta.dirname, '..')
const bin = join(root, 'node_modules', '.bin')
// tap starts `node` by name: it must be this one, however we were started ourselves.
process.env.PATH = `${bin}${delimiter}${process.env.PATH ?? ''}`
// Apart, because each takes minutes and the whole machine: .ci/run, `npm run test:qemu` and `test:firmware` start them.
const apart = /^test\/e2e\/(qemu|firmware)/

interface Tally {
  passed: number
  failed: string[]
  skipped: string[]
}
const tally: Tally = { passed: 0, failed: [], skipped: [] }

const named = process.argv.slice(2)
if (named.length === 0) {
  for (const [name, ...args] of [['tsc'], ['oxlint', '--type-aware', '--deny-warnings'], ['oxfmt', '--check']] as Array<
    [string, ...string[]]
  >) {
    await check(name, args)
  }
}
const files =
  named.length > 0
    ? named
    : globSync('test/**/*.test.ts', { cwd: root })
        .map(path => path.replaceAll('\\', '/'))
        .filter(path => !apart.test(path))
        .toSorted()
await tests(files)

for (const line of tally.skipped) console.log(`left out: ${line}`)
for (const line of tally.failed) console.log(`FAILED: ${line}`)
console.log(`${tally.passed} passed, ${tally.failed.length} failed, ${tally.skipped.length} skipped`)
process.exitCode = tally.failed.length === 0 && tally.passed > 0 ? 0 : 1

async function check(name: string, args: string[]): Promise<void> {
  const child = spawn(join(bin, name), args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  const out: Buffer[] = []
  child.stdout.on('data', (bytes: Buffer) => out.push(bytes))
  child.stderr.on('data', (bytes: Buffer) => out.push(bytes))
  const code = await new Promise(done => child.on('close', done))
  if (code === 0) tally.passed += 1
  else {
    tally.failed.push(name)
    console.log(Buffer.concat(out).toString())
  }
  console.log(`${code === 0 ? 'ok' : 'not ok'} ${name} ${args.join(' ')}`)
}

/** Runs tap and reads its TAP output: assertions are counted by its own summary, failures shown as they are, skips kept with their reason. */
async function tests(paths: string[]): Promise<void> {
  const child = spawn(join(bin, 'tap'), ['run', '--reporter=tap', ...paths], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_COMPILE_CACHE: join(root, 'node_modules', '.cache', 'compile') }
  })
  const closed = new Promise<number | null>(done => child.on('close', done))
  const trail: string[] = []
  let shown = false // inside the diagnostics of a failure
  for await (const line of createInterface({ input: child.stdout })) {
    const depth = (/^ */.exec(line)![0].length / 4) | 0
    const text = line.trim()
    const subtest = /^# Subtest: (.*)$/.exec(text)
    const result = /^(not ok|ok) \d+(?: - (.*?))?( \{)?$/.exec(text)
    if (subtest !== null) {
      trail.length = depth - (line.startsWith('    '.repeat(depth)) ? 0 : 1)
      trail[depth] = subtest[1]!
      continue
    }
    if (result !== null) {
      shown = false
      const name = result[2] ?? ''
      const skip = /# SKIP ?(.*)$/i.exec(name)
      const place = [...trail.slice(0, depth), name.replace(/ # (SKIP|time).*$/i, '')].filter(Boolean).join(' > ')
      if (skip !== null) tally.skipped.push(place + (skip[1] ? `: ${skip[1]}` : ''))
      else if (result[1] === 'ok') {
        if (depth === 0) console.log(`ok ${name.replace(/ # time=/, ' ')}`)
      } else if (!/# time=/.test(name)) {
        tally.failed.push(place)
        shown = true
        console.log(`not ok ${place}`)
      } else if (depth === 0) console.log(`not ok ${name}`)
      continue
    }
    const total = /^# \{ total: \d+, pass: (\d+)/.exec(line)
    if (total !== null) tally.passed += Number(total[1])
    if (/^# Failed|^Bail out/.test(text) || shown) console.log(line)
  }
  const code = await closed
  if (code !== 0 && tally.failed.length === 0) tally.failed.push(`tap ended with status ${code}`)
}
