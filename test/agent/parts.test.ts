// The agent's parts one by one: journal, files, run, drain, labels, replies, client, certificate request.

import { createHash } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { createClient } from '../../agent/client.ts'
import { createCsr } from '../../agent/csr.ts'
import { createFiles } from '../../agent/files.ts'
import { openJournal, parseJournal } from '../../agent/journal.ts'
import { explain, podsToGo } from '../../agent/kube/drain.ts'
import { planNode } from '../../agent/kube/labels.ts'
import { type Evidence, findDoubt } from '../../agent/kube/verify.ts'
import { kubeadmJoin, KubeadmFailed } from '../../agent/kubeadm/kubeadm.ts'
import { mergeExtension, stageExtension } from '../../agent/os/sysext.ts'
import { paths } from '../../agent/paths.ts'
import { decodeConfig, decodeDesired, decodeExtension, decodeJoinReply } from '../../agent/replies.ts'
import { createRun, type Ran, type Run } from '../../agent/run.ts'
import { KubeError } from '../../server/kubeapi/errors.ts'
import type { KubeNode } from '../../server/kubeapi/objects.ts'
import { needs } from '../helpers/require.ts'
import { authority, createWorld, noon, pod, signal } from './world.ts'
import { openWire } from './wire.ts'

t.test('journal', async t => {
  const root = t.testdir()
  const files = createFiles(root)
  const file = join(root, paths.journal)
  const journal = await openJournal(files)
  await journal.write(
    { step: 'upgrade', edge: 'begin', message: '', data: { target: 'v1.36.3', previous: 'v1.35.4' } },
    noon
  )
  await journal.write({ step: 'stage', edge: 'begin', message: 'x'.repeat(2000) }, noon)
  await journal.write({ step: 'stage', edge: 'end', message: '' }, noon)
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.equal(journal.after(1)[0]?.message.length, 1024)

  await t.test('is taken up again, also after a torn last line', async t => {
    writeFileSync(file, `${readFileSync(file, 'utf8')}{"seq":4,"at":"2026`)
    const again = await openJournal(files)
    t.same(again.progress(), journal.progress())
    t.match(again.progress().upgrade, { target: 'v1.36.3', done: ['stage'] })
    await again.write({ step: 'slot', edge: 'begin', message: '' }, noon)
    t.equal(parseJournal(readFileSync(file, 'utf8')).seq, 4)
  })
  await t.test('stays small and forgets nothing that counts', async t => {
    const long = await openJournal(files)
    for (let n = 0; n < 1_100; n += 1) await long.write({ step: 'slot', edge: 'note', message: String(n) }, noon)
    t.ok(readFileSync(file, 'utf8').split('\n').length < 1_000)
    const again = await openJournal(files)
    t.same(again.progress(), long.progress())
    t.match(again.progress().upgrade, { target: 'v1.36.3', done: ['stage'] })
    t.equal(again.after(0).at(-1)?.seq, 1_104)
  })
  await t.test('a broken line in the middle is said', async t => {
    for (const line of ['{', '[]', 'null', '{"seq":"1"}']) {
      t.throws(
        () => parseJournal(`{"seq":1,"step":"slot","edge":"note","at":"","message":""}\n${line}\n{"seq":3}\n`),
        {
          name: 'Fault',
          message: /damaged at line 2: .*move the file away/
        },
        line
      )
    }
  })
})

t.test('files', async t => {
  const root = t.testdir()
  const files = createFiles(root)
  t.equal(await files.read('/none'), null)
  await files.write('/a/secret', 'one', 0o600)
  await files.write('/a/secret', 'two', 0o600)
  t.equal(await files.read('/a/secret'), 'two')
  t.equal(statSync(join(root, 'a/secret')).mode & 0o777, 0o600)
  await files.link('/a/link', 'x')
  await files.link('/a/link', 'secret')
  t.equal(await files.readLink('/a/link'), 'secret')
  t.equal(await files.readLink('/a/secret'), null, 'no link of ours')
  t.same(await files.list('/none'), [])
  t.same(readdirSync(join(root, 'a')), ['link', 'secret'], 'nothing half is left')

  const image = Buffer.from('image')
  const good = { size: 5, sha256: createHash('sha256').update(image).digest('hex') }
  const rows: Array<[name: string, chunks: string[], expected: typeof good, error: RegExp | null]> = [
    ['whole', ['im', 'age'], good, null],
    ['too long', ['image', '!'], good, /larger than the 5 bytes/],
    ['too short', ['im'], good, /ended after 2 of 5/],
    ['another', ['imagf'], good, /SHA-256/]
  ]
  for (const [name, chunks, expected, error] of rows) {
    await t.test(`a download that is ${name}`, async t => {
      await files.remove('/b/image')
      const content = (async function* () {
        for (const chunk of chunks) yield Buffer.from(chunk)
      })()
      const saved = files.save('/b/image', content, expected)
      if (error === null) await saved
      else await t.rejects(saved, { message: error })
      t.equal(await files.matches('/b/image', good), error === null)
      t.same(readdirSync(join(root, 'b')), error === null ? ['image'] : [])
    })
  }
})

t.test('run', async t => {
  process.env['SECRET'] = 'x'
  const run = createRun('/usr/bin:/bin', '/lab')
  const limits = { timeoutMs: 5_000, signal }
  t.match(await run('sh', ['-c', 'echo out; echo err >&2; exit 3'], limits), {
    exitCode: 3,
    stdout: 'out',
    stderr: 'err'
  })
  t.equal((await run('sh', ['-c', 'echo ${SECRET-none} $SLIPWAY_ROOT'], limits)).stdout, 'none /lab')
  t.equal((await run('sh', ['-c', 'echo $0'], { ...limits, name: 'kubelet' })).stdout, 'kubelet')
  t.match(await run('sleep', ['5'], { timeoutMs: 20, signal }), { exitCode: null, stderr: /timed out/ })
  t.match(await run('no-such-program', [], limits), { exitCode: null, stdout: '', stderr: /ENOENT/ })
  const much = await run('sh', ['-c', 'yes | head -c 3000000'], limits)
  t.ok(much.exitCode !== 0 && much.stdout.length <= 1024 * 1024, 'output is bounded')
})

const fake =
  (ran: Partial<Ran>): Run =>
  async () => ({ exitCode: 0, stdout: '', stderr: '', ...ran })

t.test('kubeadm', async t => {
  const said = 'a\nerror: token abcdef.0123456789abcdef is unknown\n'
  const error = await kubeadmJoin(fake({ exitCode: 2, stderr: said }), '/x', signal).catch((error: unknown) => error)
  t.type(error, KubeadmFailed)
  t.match(error, { reason: 'preflight', message: /a \| error: token abcdef\.\*+ is unknown/ }, 'no token in a message')
})

t.test('sysext', async t => {
  const files = createFiles(t.testdir())
  await t.rejects(mergeExtension(files, fake({ stdout: 'Kubernetes v1.35.4' }), 'v1.36.3', signal), {
    message: /left kubelet v1\.35\.4 in \/usr, not v1\.36\.3/
  })
  const content = (text: string) =>
    async function* () {
      yield Buffer.from(text)
    }
  const sha256 = createHash('sha256').update('v1.36.3').digest('hex')
  const extension = { version: 'v1.36.3', url: 'http://x/', size: 7, sha256 }
  await t.rejects(stageExtension(files, content('v1.36.4'), extension, signal), {
    name: 'Fault',
    message: /http:\/\/x\/ is refused: its SHA-256/
  })
  for (const version of ['v1.33.1', 'v1.34.1']) await files.write(paths.extension(version), 'old', 0o644)
  await files.link(paths.extensionLink, paths.extensionTarget('v1.34.1'))
  await stageExtension(files, content('v1.36.3'), extension, signal)
  t.same((await files.list(paths.extensions)).toSorted(), ['kubernetes-v1.34.1.raw', 'kubernetes-v1.36.3.raw'])
})

t.test('drain', async t => {
  const owner = (kind: string) => ({
    ownerReferences: [{ apiVersion: 'x/v1', kind, name: 'o', uid: 'o', controller: true }]
  })
  const pods = [
    pod('naked'),
    pod('replica', owner('ReplicaSet')),
    pod('daemon', owner('DaemonSet')),
    pod('kruise', owner('AdvancedDaemonSet')),
    pod('static', { annotations: { 'kubernetes.io/config.mirror': '' } }),
    { ...pod('done'), status: { phase: 'Succeeded' } },
    pod('leaving', { deletionTimestamp: '2026-11-21T12:00:00Z' })
  ]
  t.same(
    podsToGo(pods).map(({ metadata }) => metadata.name),
    ['naked', 'replica', 'leaving']
  )
  const cause = (reason: string, message = '') => [{ reason, message, field: '' }]
  const rows: Array<[KubeError, RegExp]> = [
    [
      new KubeError(429, '', '', cause('DisruptionBudget', 'budget web needs 2'), null),
      /kept by its budget: budget web needs 2/
    ],
    [new KubeError(429, '', '', [], 1), /API server is busy/],
    [new KubeError(500, '', 'This pod has more than one PodDisruptionBudget', [], null), /more than one .*remove one/],
    [new KubeError(403, '', '', cause('NamespaceTerminating'), null), /namespace to end/],
    [new KubeError(403, '', 'no', [], null), /cannot be evicted \(403\): no/]
  ]
  for (const [error, want] of rows) t.match(explain(error), want)
})

t.test('labels', async t => {
  const story = { state: 'ready' as const, reason: '', next: '', slot: '' }
  const told = { 'slipway.dev/state': 'ready' }
  interface Row {
    name: string
    has: Record<string, string>
    owns?: string
    wants: Record<string, string>
    change: object | null
    owned?: string | null
    nfd?: true
  }
  const rows: Row[] = [
    { name: 'nothing to do', has: told, wants: {}, change: null },
    { name: 'an absent label is added and owned', has: told, wants: { a: '1' }, change: { a: '1' }, owned: '["a"]' },
    { name: 'an equal label is adopted', has: { ...told, a: '1' }, wants: { a: '1' }, change: {}, owned: '["a"]' },
    {
      name: 'an owned label is changed',
      has: { ...told, a: '1' },
      owns: '["a"]',
      wants: { a: '2' },
      change: { a: '2' }
    },
    { name: "somebody else's label is left alone", has: { ...told, a: '9' }, wants: { a: '1' }, change: null },
    {
      name: 'an owned label no longer wanted goes',
      has: { ...told, a: '1' },
      owns: '["a"]',
      wants: {},
      change: { a: null },
      owned: null
    },
    { name: 'a garbled note owns nothing', has: { ...told, a: '1' }, owns: '{', wants: {}, change: {}, owned: null },
    { name: 'a new state', has: {}, wants: {}, change: told },
    {
      name: 'NFD is at work',
      nfd: true,
      has: told,
      wants: { 'feature.node.kubernetes.io/x': 'true', b: '1' },
      change: { b: '1' },
      owned: '["b"]'
    }
  ]
  for (const { name, has, owns, wants, change, owned, nfd } of rows) {
    const annotations = {
      ...(owns !== undefined && { 'slipway.dev/hardware-labels': owns }),
      ...(nfd && { 'nfd.node.kubernetes.io/feature-labels': 'x' })
    }
    const patch = planNode({ metadata: { name: 'n', labels: has, annotations } }, wants, story, noon)
    t.same(patch?.metadata?.labels ?? null, change, name)
    t.same(patch?.metadata?.annotations?.['slipway.dev/hardware-labels'], owned, name)
  }
})

t.test('proof', async t => {
  const later = new Date(noon.getTime() + 1_000)
  const node: KubeNode = {
    metadata: { name: 'n' },
    status: { nodeInfo: { kubeletVersion: 'v1.36.3' }, conditions: [{ type: 'Ready', status: 'True' }] }
  }
  const good = { running: 'v1.36.3', node, leaseRenewedAt: later, restartedAt: noon }
  t.equal(findDoubt(good, 'v1.36.3'), null)
  const rows: Array<[evidence: Partial<Evidence>, want: RegExp]> = [
    [{ ...good, running: null }, /does not run/],
    [{ ...good, running: 'v1.35.4' }, /running kubelet is v1\.35\.4/],
    [{ ...good, node: null }, /cannot be asked/],
    [{ ...good, node: { ...node, status: { nodeInfo: { kubeletVersion: 'v1.35.4' } } } }, /still says v1\.35\.4/],
    [{ ...good, leaseRenewedAt: noon }, /Lease/],
    [
      {
        ...good,
        node: { ...node, status: { ...node.status, conditions: [{ type: 'Ready', status: 'False', message: 'CNI' }] } }
      },
      /not Ready: CNI/
    ]
  ]
  for (const [evidence, want] of rows) t.match(findDoubt({ ...good, ...evidence }, 'v1.36.3'), want)
})

t.test('replies are checked', async t => {
  const config = { server: 'https://s:8443', ca: '/a', bootCertificate: '/b', bootKey: '/c', runtime: 'crio' }
  t.same(decodeConfig({ ...config, more: 1 }), config, 'a newer server may say more')
  const wrong: Array<[name: string, decode: () => unknown]> = [
    ['plain http', () => decodeConfig({ ...config, server: 'http://s' })],
    ['a list', () => decodeConfig([])],
    ['another runtime', () => decodeConfig({ ...config, runtime: 'docker' })],
    [
      'a path in a name',
      () => decodeDesired({ node: { name: '../n', role: 'worker', version: 'v1.36.3' }, pollSeconds: 1 })
    ],
    [
      'a version of nobody',
      () => decodeDesired({ node: { name: 'n', role: 'worker', version: 'latest' }, pollSeconds: 1 })
    ],
    ['no pause', () => decodeDesired({ node: { name: 'n', role: 'worker', version: 'v1.36.3' }, pollSeconds: 0 })],
    ['a file URL', () => decodeExtension({ version: 'v1.36.3', url: 'file:///x', size: 1, sha256: '0'.repeat(64) })],
    [
      'an endless image',
      () => decodeExtension({ version: 'v1.36.3', url: 'http://x', size: 2 ** 40, sha256: '0'.repeat(64) })
    ],
    [
      'a discovery file elsewhere',
      () => decodeJoinReply({ action: 'join', config: 'c', discovery: 'd', discoveryPath: '/etc/passwd' })
    ],
    [
      'a discovery file above',
      () => decodeJoinReply({ action: 'join', config: 'c', discovery: 'd', discoveryPath: '/run/slipway/../x' })
    ]
  ]
  for (const [name, decode] of wrong) t.throws(decode, { name: 'BadReply' }, name)
  t.equal(
    decodeDesired({ node: { name: 'n', role: 'worker', version: 'v1.36.3' }, pollSeconds: 1e9 }).pollSeconds,
    3600
  )
})

t.test('client', async t => {
  const world = createWorld(t.testdir())
  const wire = await openWire(world, () => false)
  const plain = createServer((_, response) => response.writeHead(302, { location: '/x' }).end())
  await new Promise<void>(resolve => plain.listen(0, '127.0.0.1', resolve))
  t.teardown(async () => {
    await wire.close()
    plain.close()
  })
  const { server } = JSON.parse(readFileSync(join(world.root, 'etc/slipway/agent.json'), 'utf8')) as { server: string }
  const client = createClient(server)
  t.teardown(() => client.close())
  const issued = authority.issue({ commonName: 'm-1', organizations: [] }, 'client', noon)
  const own = {
    caPem: authority.caPem,
    certificatePem: `${issued.certificatePem}${issued.keyPem}`,
    keyPem: `${issued.certificatePem}${issued.keyPem}`
  }
  t.match(
    await client.send('GET', '/agent/v1/desired', null, own, signal),
    { status: 200, body: { pollSeconds: 30 } },
    'certificate and key from one file'
  )
  const { createAuthority } = await import('../lab/apiserver/certificates.ts')
  const stranger = createAuthority('somebody', noon)
  const other = stranger.issue({ commonName: 'm-1', organizations: [] }, 'client', noon)
  const strange = { caPem: authority.caPem, certificatePem: other.certificatePem, keyPem: other.keyPem }
  t.match(
    await client.send('GET', '/agent/v1/desired', null, strange, signal),
    { status: 401 },
    'new credentials, new connection'
  )
  await t.rejects(
    client.send('GET', '/agent/v1/desired', null, { ...own, caPem: stranger.caPem }, signal),
    { code: /CERT|SELF_SIGNED|SIGNATURE/ },
    'only our authority'
  )
  const url = `http://127.0.0.1:${(plain.address() as AddressInfo).port}/`
  await t.rejects(
    (async () => {
      for await (const chunk of client.download(url, authority.caPem, signal)) t.fail(String(chunk))
    })(),
    { message: /answered 302/ },
    'no redirect is followed'
  )
})

t.test('certificate request', needs({ programs: ['openssl'] }), async t => {
  const { generateKeyPairSync } = await import('node:crypto')
  for (let n = 0; n < 20; n += 1) {
    const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' })
    const request = createCsr(key, n === 0 ? 'x'.repeat(100) : 'slipway-agent')
    const said = execFileSync('openssl', ['req', '-verify', '-noout', '-subject'], {
      input: request,
      stdio: ['pipe', 'pipe', 'pipe']
    })
    t.match(said.toString(), /CN ?= ?/)
  }
})
