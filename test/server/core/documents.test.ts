// Documents: what is accepted, every problem of what is not, and texts that are no YAML, or too much of it.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { checkDocuments, checkReferences } from '../../../server/core/documents.ts'
import { formatProblems } from '../../../server/core/problems.ts'
import { nearest } from '../../../server/core/schema.ts'
import { parseAddress } from '../../../server/core/ipv4.ts'
import { parseSubnet } from '../../../server/core/subnet.ts'
import { parseYaml } from '../../../server/yaml.ts'
import { hostileTexts, randomText } from '../../helpers/hostile.ts'
import { seeded } from '../../helpers/random.ts'

const good = `
apiVersion: slipway.dev/v1
kind: Cluster
metadata: {name: main}
spec: {endpoint: "10.0.0.9:6443", version: v1.35.4, podSubnet: 10.244.0.0/16, serviceSubnet: 10.96.0.0/12}
---
apiVersion: slipway.dev/v1
kind: Profile
metadata: {name: worker}
spec:
  os: {name: fedora-coreos, version: "43", assets: fcos/43, kernelArguments: [console=ttyS0]}
  disks: {install: /dev/disk/by-id/nvme-XYZ}
  users: [{name: core, sshAuthorizedKeys: [ssh-ed25519 AAAA me]}]
  files: [{path: /etc/motd, mode: "0644", contents: hi}]
  units: [{name: a.service, enabled: true, contents: "[Service]"}]
  kubernetes: {cluster: main, role: worker, version: v1.35.4, runtime: containerd}
  labels: {example.com/rack: a1, plain: ""}
  taints: [{key: gpu, effect: NoSchedule}]
---
apiVersion: slipway.dev/v1
kind: Rule
metadata: {name: all}
spec: {match: {manufacturer: "Dell*"}, profile: worker, approve: auto, name: "node-{number}"}
---
apiVersion: slipway.dev/v1
kind: Machine
metadata: {name: r1}
spec: {macs: ["AA-BB-CC-00-00-01"], profile: worker, address: 10.0.0.5}
`

function lines(text: string): string[] {
  const checked = checkDocuments(parseYaml(text, 'x.yaml'))
  return 'problems' in checked ? formatProblems(checked.problems).split('\n') : []
}

function references(text: string): string[] {
  const checked = checkDocuments(parseYaml(text, 'x.yaml'))
  if ('problems' in checked) throw new Error(formatProblems(checked.problems))
  const problems = checkReferences(checked.documents)
  return problems.length === 0 ? [] : formatProblems(problems).split('\n')
}

t.test('good documents pass unchanged', async t => {
  const raws = parseYaml(good, 'x.yaml')
  const copy = structuredClone(raws)
  t.same(checkDocuments(raws), { documents: copy })
  t.same(references(good), [])
  t.same(checkDocuments([]), { documents: [] })
})

t.test('one change to the good documents', async t => {
  const rows: [name: string, from: string, to: string, want: string[]][] = [
    [
      'an unknown key',
      'disks:',
      'disk:',
      ['Profile/worker: spec.disks: is missing', 'Profile/worker: spec.disk: is unknown; did you mean disks?']
    ],
    [
      'a wrong word',
      'name: fedora-coreos',
      'name: fedora',
      ['Profile/worker: spec.os.name: must be centos-stream or fedora-coreos']
    ],
    ['a wrong type', 'version: "43"', 'version: 43', ['Profile/worker: spec.os.version: must be text']],
    ['a missing kind', 'kind: Rule', 'kin: Rule', ['document 3: kind: must be one of Profile, Rule, Cluster, Machine']],
    ['a misspelt kind', 'kind: Rule', 'kind: Rules', ['document 3: kind: is unknown; did you mean Rule?']],
    [
      'another version',
      'slipway.dev/v1\nkind: Rule',
      'slipway.dev/v2\nkind: Rule',
      ['Rule/all: apiVersion: must be slipway.dev/v1']
    ],
    [
      'no version number',
      'version: v1.35.4, runtime',
      'version: "1.35", runtime',
      ['Profile/worker: spec.kubernetes.version: "1.35" does not fit: a version such as v1.36.3']
    ],
    ['a label key', 'plain: ""', '-bad: ""', ['Profile/worker: spec.labels["-bad"]: is unknown']],
    [
      'a label value',
      'plain: ""',
      'plain: "a b"',
      ['Profile/worker: spec.labels.plain: "a b" does not fit: letters, digits, ., _ and -, at most 63']
    ],
    [
      'a blank in an argument',
      '[console=ttyS0]',
      '["a b"]',
      ['Profile/worker: spec.os.kernelArguments[0]: "a b" does not fit: one kernel argument without blanks or quotes']
    ],
    [
      'a path with dots',
      '/etc/motd',
      '/etc/../motd',
      ['Profile/worker: spec.files[0].path: must be a plain path: no empty part, no . and no ..']
    ],
    [
      'a path of ours',
      '/etc/motd',
      '/etc/slipway/boot.key',
      ['Profile/worker: spec.files[0].path: /etc/slipway is written by Slipway itself']
    ],
    [
      'packages on CoreOS',
      'disks:',
      'packages: [vim]\n  disks:',
      [
        'Profile/worker: spec.packages: fedora-coreos installs no packages; put the programs into files, or use centos-stream'
      ]
    ],
    [
      'a wrong CentOS',
      'name: fedora-coreos, version: "43"',
      'name: centos-stream, version: "8"',
      ['Profile/worker: spec.os.version: centos-stream is 9 or 10, not 8']
    ],
    [
      'a placeholder',
      '{number}',
      '{rack}',
      ['Rule/all: spec.name: {rack} is unknown; known: {number} {serial} {mac} {id}']
    ],
    ['a lone brace', '{number}', '{number', ['Rule/all: spec.name: has a brace without its other half']],
    ['a wrong port', ':6443', ':66443', ['Cluster/main: spec.endpoint: the port must be 1 to 65535']],
    [
      'a wrong network',
      '10.244.0.0/16',
      '10.244.0.1/16',
      ['Cluster/main: spec.podSubnet: 10.244.0.1/16 is not an IPv4 network such as 10.244.0.0/16']
    ],
    [
      'a wrong address',
      'address: 10.0.0.5',
      'address: 10.0.0.500',
      ['Machine/r1: spec.address: "10.0.0.500" is not a valid ipv4']
    ],
    [
      'a hostile name',
      'metadata: {name: all}',
      'metadata: {name: "a\\nb"}',
      ['document 3: metadata.name: "a\\nb" does not fit: lower-case letters, digits, - and ., at most 63']
    ]
  ]
  for (const [name, from, to, want] of rows) {
    t.ok(good.includes(from), `${name}: the change applies`)
    t.same(lines(good.replace(from, to)), want, name)
  }
})

t.test('what is no document at all', async t => {
  t.same(lines('- 1\n'), ['document 1: must be a mapping with apiVersion, kind, metadata and spec'])
  t.same(lines('{}'), ['document 1: apiVersion: must be slipway.dev/v1'])
  t.same(
    lines(`${good}---\n${good}`).filter(line => line.startsWith('Rule')),
    ['Rule/all: is given more than once']
  )
})

t.test('what a set must agree on', async t => {
  const rows: [name: string, from: string, to: string, want: string[]][] = [
    [
      'a rule without its profile',
      'profile: worker, approve',
      'profile: workers, approve',
      ['Rule/all: spec.profile: there is no Profile workers; did you mean worker?']
    ],
    [
      'a machine without its profile',
      'profile: worker, address',
      'profile: other, address',
      ['Machine/r1: spec.profile: there is no Profile other; apply a Profile of that name as well']
    ],
    [
      'a profile without its cluster',
      'cluster: main',
      'cluster: edge',
      ['Profile/worker: spec.kubernetes.cluster: there is no Cluster edge; apply a Cluster of that name as well']
    ],
    [
      'a kubelet too new',
      'version: v1.35.4, runtime',
      'version: v1.36.0, runtime',
      [
        'Profile/worker: spec.kubernetes.version: v1.36.0 is newer than cluster main (v1.35.4); a kubelet must not be newer than its API server'
      ]
    ]
  ]
  for (const [name, from, to, want] of rows) t.same(references(good.replace(from, to)), want, name)
  const twin = good
    .slice(good.lastIndexOf('---'))
    .replace('name: r1', 'name: r2')
    .replace('AA-BB-CC', 'aa:bb:cc')
    .replaceAll('-00-', ':00:')
    .replace('00-01', '00:01')
  t.same(references(good + twin), [
    "Machine/r2: spec: aa:bb:cc:00:00:01 is already Machine/r1's",
    "Machine/r2: spec: 10.0.0.5 is already Machine/r1's"
  ])
})

t.test('texts that are not read', async t => {
  const lists = ['[1,2,3,4,5,6,7,8,9]', ...Array.from({ length: 3 }, (_, index) => `[${`*a${index},`.repeat(9)}]`)]
  const rows: [name: string, text: string, path: string, message: RegExp][] = [
    ['a duplicate key', 'a: 1\na: 2\n', 'x.yaml:2', /unique/],
    ['an open list', 'ok: 1\na: [1\nb: 2\n', 'x.yaml:3', /./],
    ['a custom tag', 'a: !!js/function x\n', 'x.yaml:1', /tag/],
    ['an unknown alias', 'a: *x\n', 'x.yaml', /alias/],
    ['a bomb', lists.map((list, index) => `k${index}: &a${index} ${list}\n`).join(''), 'x.yaml', /write it out/],
    ['a deep one', '['.repeat(20_000), 'x.yaml:1', /nested too deeply/],
    ['a large one', 'x'.repeat(262_145), 'x.yaml', /larger than 256 KiB/],
    ['many', '---\na\n'.repeat(2001), 'x.yaml', /more than 2000/]
  ]
  for (const [name, text, path, message] of rows) {
    try {
      parseYaml(text, 'x.yaml')
      t.fail(name)
    } catch (error) {
      t.match(error, { name: 'Fault', code: 'invalid', problems: [{ path, message }] }, name)
    }
  }
  t.same(parseYaml('{"a": [1, null]}', 'x'), [{ a: [1, null] }], 'JSON is YAML')
  t.same(parseYaml('---\n---\n# nothing\n', 'x'), [])
  t.same(parseYaml('on: yes\n', 'x'), [{ on: 'yes' }], 'no surprises of YAML 1.1')
})

t.test('hostile texts in every field: problems, or a document; never a throw', async t => {
  const seed = Date.now() % 1_000_000
  const random = seeded(seed)
  const [cluster] = parseYaml(good, 'x')
  for (const text of [...hostileTexts, ...Array.from({ length: 200 }, () => randomText(random))]) {
    for (const raw of [
      text,
      { ...(cluster as object), kind: text },
      { ...(cluster as object), metadata: { name: text } },
      { ...(cluster as object), [text]: text }
    ]) {
      const checked = checkDocuments([raw])
      // Chance writes a good name now and then.
      const good = /^[a-z0-9.-]+$/.test(text)
      if (!('problems' in checked)) t.ok(good, `accepted: ${JSON.stringify(text)}, seed ${seed}`)
      else if (checked.problems.some(({ path }) => /[\p{Cc}\p{Zl}\p{Zp}]/u.test(path)))
        t.fail(`a path that breaks lines, seed ${seed}`)
    }
  }
  t.pass(`seed ${seed}`)
})

t.test('the documents that the README shows are right', async t => {
  const readme = readFileSync(join(import.meta.dirname, '../../../README.md'), 'utf8')
  const shown = /```yaml\n(apiVersion[^]*?)```/.exec(readme)?.[1] ?? ''
  t.equal(parseYaml(shown, 'README.md').length, 3)
  t.same(lines(shown), [])
  t.same(references(shown), [])
})

t.test('small parts', async t => {
  t.equal(nearest('profle', ['profile', 'role']), 'profile')
  t.equal(nearest('x', ['profile']), null)
  t.equal(parseAddress('10.0.0.255'), 167_772_415)
  for (const text of ['', '1.2.3', '1.2.3.4.5', '01.2.3.4', '256.1.1.1', '1.2.3.4 '])
    t.equal(parseAddress(text), null, `"${text}"`)
  t.same(parseSubnet('10.0.0.0/30'), { first: 167_772_160, last: 167_772_163 })
  t.same(parseSubnet('0.0.0.0/0'), { first: 0, last: 2 ** 32 - 1 })
  for (const text of ['10.0.0.1/30', '10.0.0.0', '10.0.0.0/33', '10.0.0.0/8/8', 'x/8'])
    t.equal(parseSubnet(text), null, text)
})
