// Style as a test: what a machine can check, so that review is about design. A rule is a row; a file that breaks one
// is named with its line. Import directions and their reasons: ARCHITECTURE.md.

import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'

const root = join(import.meta.dirname, '..')
const files = globSync('{server,agent,ignition,kickstart,test}/**/*.ts', { cwd: root })
  .map(path => ({ path, lines: readFileSync(join(root, path), 'utf8').trimEnd().split('\n') }))
  .toSorted((a, b) => (a.path < b.path ? -1 : 1))
const source = files.filter(({ path }) => !path.startsWith('test/'))

// Where input and output are allowed: the edge files. The rest is pure: bytes, time and chance come in as arguments.
const edge =
  /(^|\/)(main|server|serve|client|socket|files|run|sqlite|postgres|database|authority|watch|facts|build)\.ts$|^server\/(cli|web)\//

const banned: Array<[pattern: RegExp, instead: string, where: (path: string) => boolean]> = [
  [/^export default/, 'a named export', () => true],
  [/^export \*|^export \{.*\} from/, 'an import from the file that defines it', () => true],
  [/\bas any\b|^(?! *(\/\/|\*)).*: any\b|<any>/, 'unknown, then narrow it', () => true],
  [
    /\bDate\.now\(\)|new Date\(\)|Math\.random\(\)/,
    'a parameter: now, random',
    path => inSource(path) && !edge.test(path)
  ],
  [/console\./, 'the log that was passed in', path => inSource(path) && !edge.test(path)],
  [/\b(TODO|FIXME|XXX|HACK)\b/, 'an issue, or a fix', () => true],
  [/\.(only|todo)\(|@ts-(ignore|nocheck)/, 'a test that runs, a type that holds', () => true],
  [/catch *(\([a-z]*\))? *\{ *\}/, 'a decision, with its reason', () => true]
]

function inSource(path: string): boolean {
  return !path.startsWith('test/')
}

for (const [pattern, instead, where] of banned) {
  t.test(`no ${pattern.source}`, async t => {
    const found = files
      .filter(({ path }) => where(path) && path !== 'test/tidy.test.ts')
      .flatMap(({ path, lines }) =>
        lines.flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1} wants ${instead}`] : []))
      )
    t.same(found, [])
  })
}

t.test('files fit in the head and lines fit on the screen', async t => {
  const limit = (path: string): number => (inSource(path) ? 250 : 400) // a table of cases may be long
  t.same(
    files
      .filter(({ path, lines }) => !path.endsWith('.test.ts') && lines.length > limit(path))
      .map(({ path, lines }) => `${path}: ${lines.length} lines`),
    []
  )
  const wide = source.flatMap(({ path, lines }) =>
    lines.flatMap((line, i) => (line.length > 120 ? [`${path}:${i + 1}`] : []))
  )
  t.same(wide, [])
})

t.test('every file opens by saying what it is', async t => {
  const silent = source.filter(({ lines }) => !/^\/[/*]/.test(lines.find(line => !line.startsWith('#!')) ?? ''))
  t.same(
    silent.map(({ path }) => path),
    []
  )
})

t.test('nothing of the machine it was made on', async t => {
  const texts = globSync('{server,agent,ignition,kickstart,test,docs}/**/*', { cwd: root, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
    .concat(
      ['README.md', 'ARCHITECTURE.md', 'CHANGES.md', 'package-lock.json', 'Vagrantfile'].map(name => join(root, name))
    )
    .filter(path => !/\.(png|pcap|bin)$/.test(path) && !path.endsWith('tidy.test.ts'))
  const found = texts.filter(path =>
    /\/(work|farm)\/|\/tmp\/bash_jobs|registry\.npmjs/.test(readFileSync(path, 'utf8'))
  )
  t.same(found, [])
})

t.test('names that others hold on to are written down', async t => {
  const [reference, api] = ['docs/reference.md', 'docs/api.md'].map(name => readFileSync(join(root, name), 'utf8'))
  const text = (path: string): string => files.find(file => file.path === path)!.lines.join('\n')
  const server = source.filter(({ path }) => path.startsWith('server/')).flatMap(({ lines }) => lines)
  const events = server.flatMap(line => [...line.matchAll(/\btype: '([a-z]+\.)([a-z-]+)'/g)])
  t.ok(events.length > 30)
  const rows = reference!.split('\n').filter(line => line.startsWith('| `'))
  const untold = events.filter(
    ([, area, name]) => !rows.some(row => row.startsWith(`| \`${area}\``) && row.includes(`\`${name}\``))
  )
  t.same(
    untold.map(([line]) => line),
    [],
    'event types'
  )
  const steps = [
    ...text('agent/progress.ts').matchAll(/^ {2}\| '([a-z-]+)'$|^ {2}(?:forward|blocked|'rolled-back'): \[.*/gm)
  ]
    .flatMap(([line]) => [...line.matchAll(/'([a-z-]+)'/g)].map(([, word]) => word!))
    .filter(word => word !== 'rolled-back' && word !== 'finish')
  t.ok(steps.length > 20)
  t.same(
    steps.filter(step => !reference!.includes(`\`${step}\``)),
    [],
    'steps of the agent'
  )
  const metrics = [...text('server/metrics.ts').matchAll(/(?:counter\('|name: 'slipway_)([a-z_]+)/g)]
  t.same(
    metrics.map(([, name]) => name!).filter(name => !api!.includes(`slipway_${name}`)),
    [],
    'metrics'
  )
})

t.test('each test that the security page names is there', async t => {
  const rows = readFileSync(join(root, 'docs/security.md'), 'utf8')
    .split('\n')
    .filter(line => /^\| \d+ \|/.test(line))
  t.ok(rows.length > 20)
  const wrong = rows.flatMap(row => {
    const named = [...row.matchAll(/`(test\/[^`]+\.test\.ts)`: ((?:“[^”]+”(?:, )?)+)/g)]
    if (named.length === 0) return [`no test: ${row.slice(0, 60)}`]
    return named.flatMap(([, path, titles]) => {
      const text = files.find(file => file.path === path)?.lines.join('\n') ?? ''
      const missing = [...titles!.matchAll(/“([^”]+)”/g)].filter(([, title]) => !text.includes(title!))
      return missing.map(([, title]) => `${path} has no test “${title}”`)
    })
  })
  t.same(wrong, [])
})

// A row reads: files here may import only these, beside their own folder.
const mayImport: Array<[folder: string, targets: RegExp]> = [
  ['server/contract', /^typebox$/],
  ['server/core', /^(typebox|ajv|ajv-formats)(\/|$)|^server\/contract\/|^node:crypto$/],
  ['server/native', /^node:/],
  ['server/dhcp', /^(node:|ipaddr\.js$)|^server\/(contract|core|native)\/|^server\/log\.ts$/],
  ['server/tftp', /^node:|^server\/(contract|core|native)\/|^server\/log\.ts$/],
  ['server/boot', /^server\/(contract|core)\/|^(ignition|kickstart)\//],
  ['server/store', /^(kysely|pg)(\/|$)|^node:|^server\/(contract|core)\//],
  ['server/pki', /^(node-forge|ipaddr\.js)(\/|$)|^node:|^server\/(contract|core)\//],
  ['server/kubeapi', /^node:|^yaml$/],
  ['server/upgrade', /^server\/(contract|core)\//],
  [
    'server/kube',
    /^(node:|yaml$|typebox|ajv)|^server\/(contract|core|data|store|kubeapi|upgrade)\/|^server\/(log|timeline)\.ts$/
  ],
  ['server/provision', /^node:crypto$|^server\/(contract|core|store|pki|boot|upgrade)\/|^server\/(log|timeline)\.ts$/],
  ['server/http', /^(fastify|typebox|@fastify\/|ajv|prom-client|node:)|^server\/(?!cli\/|main|serve)/],
  ['server/web', /^(preact|node:)|^server\/contract\//],
  [
    'agent',
    /^(execa|systeminformation|node-forge)(\/|$)|^(node:|esbuild$|postject$)|^agent\/|^server\/(contract|kubeapi)\//
  ],
  ['ignition', /^node:/],
  ['kickstart', /^node:/]
]
// The lab is the one place outside the program that the program starts: `slipway lab` (docs/adr).
const exceptions = new Set(['server/cli/lab.ts imports test/lab/main.ts'])

t.test('imports point inward', async t => {
  const wrong = source.flatMap(({ path, lines }) =>
    imports(path, lines)
      .filter(target => !allowed(path, target))
      .map(target => `${path} imports ${target}`)
  )
  t.same(
    wrong.filter(line => !exceptions.has(line)),
    []
  )
})

const device =
  /^(node:(dgram|net|tls|fs|fs\/promises|http|https|http2|child_process|sqlite|timers\/promises|os|ffi)|execa|pg|systeminformation)$/

t.test('input and output are at the edges', async t => {
  const wrong = source
    .filter(({ path }) => !edge.test(path))
    .flatMap(({ path, lines }) =>
      imports(
        path,
        lines.filter(line => !line.startsWith('import type'))
      )
        .filter(name => device.test(name))
        .map(name => `${path} imports ${name}`)
    )
  t.same(wrong, [])
})

t.test('no file imports itself by a way round', async t => {
  const graph = new Map(
    files.map(({ path, lines }) => [
      path,
      imports(
        path,
        lines.filter(line => !line.startsWith('import type'))
      )
    ])
  )
  t.same(cycles(graph), [])
})

function imports(path: string, lines: string[]): string[] {
  const text = lines.join('\n')
  const found = text.matchAll(
    /^(?:import|export)\b[^'"\n;]*?(?:\{[^}]*\})?[^'"\n;]*?from '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm
  )
  return [...found]
    .map(match => match[1] ?? match[2] ?? match[3]!)
    .map(name => (name.startsWith('.') ? join(dirname(path), name) : name))
}

function allowed(path: string, target: string): boolean {
  const row = mayImport.find(([folder]) => path.startsWith(`${folder}/`))
  if (row === undefined)
    return !target.startsWith('test/') && !(path.startsWith('server/') && target.startsWith('agent/'))
  return target.startsWith(`${row[0]}/`) || row[1].test(target)
}

/** Every cycle found by a depth-first walk, as the path that closes it. */
function cycles(graph: Map<string, string[]>): string[] {
  const done = new Set<string>()
  const found: string[] = []
  function walk(node: string, trail: string[]): void {
    const at = trail.indexOf(node)
    if (at !== -1) found.push([...trail.slice(at), node].join(' -> '))
    if (at !== -1 || done.has(node)) return
    for (const next of graph.get(node) ?? []) walk(next, [...trail, node])
    done.add(node)
  }
  for (const node of graph.keys()) walk(node, [])
  return found
}
