// The client by itself: kubeconfigs, errors, connections, credentials that change, watches that break. What the API
// server means by its answers is test/contract/kubeapi.test.ts.

import { once } from 'node:events'
import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createKubeClient, type KubeClient } from '../../../server/kubeapi/client.ts'
import { kubeErrorOf } from '../../../server/kubeapi/errors.ts'
import { fileCredentials, textCredentials } from '../../../server/kubeapi/files.ts'
import { parseKubeconfig } from '../../../server/kubeapi/kubeconfig.ts'
import type { KubeNode, KubeObject } from '../../../server/kubeapi/objects.ts'
import { paths, withQuery } from '../../../server/kubeapi/paths.ts'
import { backoff, watch, type WatchEvent } from '../../../server/kubeapi/watch.ts'
import { eventually, refusal, statusOf } from '../../contract/targets.ts'
import { createAuthority } from '../../lab/apiserver/certificates.ts'
import { startSimulatedApiServer, type SimulationOptions } from '../../lab/apiserver/server.ts'

const base64 = (text: string) => Buffer.from(text).toString('base64')
const cluster = `{name: c, cluster: {server: 'https://h:6443/', certificate-authority-data: ${base64('CA')}}}`

t.test('kubeconfigs', async t => {
  const full = `{current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}], clusters: [${cluster}],
    users: [{name: other, user: {}}, {name: u, user: {client-certificate: /c.pem, client-key-data: ${base64('KEY')}}}]}`
  t.same(await parseKubeconfig(full), {
    server: 'https://h:6443',
    serverName: null,
    ca: { pem: 'CA' },
    certificate: { path: '/c.pem' },
    key: { pem: 'KEY' },
    token: null
  })
  const token = await parseKubeconfig(`{clusters: [${cluster}], users: [{name: u, user: {token: abc}}]}`)
  t.same(token.token, { text: 'abc' }, 'without a context the only entries are meant')

  const one = (fields: string) => `{clusters: [{name: c, cluster: {${fields}}}]}`
  const user = (fields: string) => `{clusters: [${cluster}], users: [{name: u, user: {${fields}}}]}`
  const wrong: Array<[text: string, why: RegExp]> = [
    ['{', /not valid YAML/],
    ['[]', /must be a mapping/],
    ['{}', /names no server/],
    [one('server: http://h'), /https:\/\//],
    [one('server: https://h/path'), /https:\/\//],
    [one('server: https://h, insecure-skip-tls-verify: true'), /skips TLS verification/],
    [one('server: https://h, proxy-url: http://p'), /proxy-url/],
    [user('exec: {command: x}'), /"exec"/],
    [user('password: x'), /"password"/],
    [`{clusters: [${cluster}, ${cluster}]}`, /several clusters/],
    [`{current-context: gone, clusters: [${cluster}]}`, /no context "gone"/],
    ['a: &a [1]\nb: [*a, *a]', /not valid YAML/],
    ['x'.repeat(300_000), /larger/]
  ]
  for (const [text, why] of wrong) await t.rejects(parseKubeconfig(text), { name: 'KubeconfigError', message: why })
  const secret = await parseKubeconfig('users: [{user: {token: hush}}\n x').catch(String)
  t.notMatch(secret, 'hush', 'an error shows nothing of the file')
})

t.test('errors', async t => {
  const status = (fields: object) => JSON.stringify({ kind: 'Status', message: 'm', reason: 'R', ...fields })
  t.match(kubeErrorOf(429, '10', status({ details: { causes: [{ reason: 'DisruptionBudget', message: 'b' }] } })), {
    status: 429,
    reason: 'R',
    message: 'm',
    causes: [{ reason: 'DisruptionBudget', message: 'b', field: '' }],
    retryAfterSeconds: 10
  })
  t.equal(kubeErrorOf(429, undefined, status({ details: { retryAfterSeconds: 5 } })).retryAfterSeconds, 5)
  t.match(kubeErrorOf(502, 'soon', '<html>'), { status: 502, retryAfterSeconds: null, message: /502: <html>/ })
  t.equal(kubeErrorOf(500, undefined, status({ message: 'x'.repeat(9000) })).message.length, 2048)
})

t.test('paths and pauses', async t => {
  t.equal(paths.node('a/b?c'), '/api/v1/nodes/a%2Fb%3Fc')
  t.throws(() => paths.node('..'), /not a name/)
  t.throws(() => paths.node(''), /not a name/)
  t.equal(withQuery('/x', { a: 1, b: undefined, c: 'd=e' }), '/x?a=1&c=d%3De')
  t.same(
    [1, 2, 6, 20].map(failures => backoff(failures, 0.5)),
    [1000, 2000, 30_000, 30_000]
  )
  t.same(
    [0, 1].map(random => backoff(1, random)),
    [500, 1500]
  )
})

type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** A server of its own, to see connections and to misbehave. */
async function misbehaving(t: Test, handler: Handler): Promise<{ client: KubeClient; connections: () => number }> {
  const authority = createAuthority('test authority', new Date())
  const { certificatePem, keyPem } = authority.issue({ commonName: 'test', organizations: [] }, 'server', new Date())
  const server = createServer({ key: keyPem, cert: certificatePem }, handler)
  let connections = 0
  server.on('secureConnection', () => {
    connections += 1
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const text = `{clusters: [{name: '', cluster: {server: 'https://127.0.0.1:${port}', certificate-authority-data: ${base64(authority.caPem)}}}]}`
  const client = createKubeClient(await textCredentials(text))
  t.teardown(() => {
    client.close()
    server.closeAllConnections()
    server.close()
  })
  return { client, connections: () => connections }
}

t.test('requests one after the other share one connection; a cut idle one is replaced unseen', async t => {
  const { client, connections } = await misbehaving(t, (request, response) => {
    response.setHeader('content-type', 'application/json').end('{}')
    if (request.url === '/cut') response.on('finish', () => request.socket.destroySoon())
  })
  for (let n = 0; n < 20; n++) await client.get('/x')
  t.equal(connections(), 1)
  await client.get('/cut')
  await client.get('/x')
  t.equal(connections(), 2)
})

t.test('bounds: a silent server, an endless body, a refusal that is no Status', async t => {
  const { client } = await misbehaving(t, (request, response) => {
    if (request.url === '/silent') return
    if (request.url === '/teapot') return void response.writeHead(418).end('short and stout')
    response.setHeader('content-type', 'application/json')
    const more = () => {
      while (response.write('x'.repeat(1 << 20)));
      response.once('drain', more)
    }
    more()
  })
  await t.rejects(client.get('/silent', { timeoutMs: 50 }), { name: /AbortError|TimeoutError/ })
  await t.rejects(client.get('/endless'), /larger than/)
  t.match(await refusal(client.get('/teapot')), { status: 418, message: /short and stout/ })
  const ended = new AbortController()
  const pending = client.get('/silent', { signal: ended.signal })
  ended.abort()
  await t.rejects(pending, { name: 'AbortError' })
})

async function simulation(t: Test, change: Partial<SimulationOptions> = {}) {
  const failed = (error: unknown) => {
    throw error
  }
  const api = await startSimulatedApiServer({ version: 'v1.36.3', now: () => new Date(), failed, ...change })
  const admin = createKubeClient(await textCredentials(api.adminKubeconfig))
  t.teardown(async () => {
    admin.close()
    await api.close()
  })
  return { api, admin }
}

t.test('the kubelet’s certificate is read again when its link moves, below a root of its own', async t => {
  const { api, admin } = await simulation(t)
  const root = await mkdtemp(join(tmpdir(), 'slipway-kubeapi-'))
  t.teardown(async () => rm(root, { recursive: true }))
  const pemOf = async (node: string) => {
    const text = api.kubeconfigFor({ commonName: `system:node:${node}`, organizations: ['system:nodes'] })
    const { certificate, key } = await parseKubeconfig(text)
    if (certificate === null || key === null || !('pem' in certificate && 'pem' in key)) throw new TypeError('inline')
    return certificate.pem + key.pem
  }
  for (const node of ['n1', 'n2']) {
    await admin.create(paths.nodes, { metadata: { name: node } })
    await writeFile(join(root, `${node}.pem`), await pemOf(node))
  }
  await symlink('n1.pem', join(root, 'current.pem'))
  const server = `{server: '${api.url}', certificate-authority-data: ${base64(api.caPem)}}`
  const text = `{clusters: [{name: c, cluster: ${server}}], users: [{name: u, user: {client-certificate: /current.pem, client-key: /current.pem}}]}`
  await writeFile(join(root, 'kubelet.conf'), text)
  const client = createKubeClient(fileCredentials('/kubelet.conf', root))
  t.teardown(() => client.close())
  t.same([await statusOf(client.get(paths.node('n1'))), await statusOf(client.get(paths.node('n2')))], [0, 403])
  t.equal(await client.credentials(), await client.credentials(), 'not read again without need')
  await symlink('n2.pem', join(root, 'next.pem'))
  await rename(join(root, 'next.pem'), join(root, 'current.pem'))
  t.same([await statusOf(client.get(paths.node('n1'))), await statusOf(client.get(paths.node('n2')))], [403, 0])
  await rm(join(root, 'n2.pem'))
  await t.rejects(client.get(paths.node('n2')), { code: 'ENOENT' })
})

interface Followed {
  readonly seen: string[]
  readonly failures: number[]
  readonly running: Promise<void>
  readonly end: AbortController
}

function follow(t: Test, client: KubeClient, handled?: (event: WatchEvent<KubeObject>) => void): Followed {
  const seen: string[] = []
  const failures: number[] = []
  const end = new AbortController()
  t.teardown(() => end.abort())
  const handle = (event: WatchEvent<KubeObject>) => {
    handled?.(event)
    const names =
      event.type === 'listed' ? event.items.map(({ metadata }) => metadata.name) : [event.object.metadata.name]
    seen.push([event.type, ...names].join(' '))
  }
  const failed = (_: unknown, count: number) => void failures.push(count)
  const deps = { handle, failed, random: () => 0.5, sleep: async () => {} }
  return { seen, failures, end, running: watch(client, paths.nodes, {}, deps, end.signal) }
}

const saw = async (followed: Followed, last: string) =>
  eventually(async () => (followed.seen.at(-1) === last ? true : null))

t.test('a watch goes on where it was when its connection is cut', async t => {
  const { api, admin } = await simulation(t)
  const followed = follow(t, admin)
  await saw(followed, 'listed')
  await admin.create(paths.nodes, { metadata: { name: 'a' } })
  await saw(followed, 'added a')
  api.interrupt()
  api.store.put('nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'b' } })
  await saw(followed, 'added b')
  t.same(followed.seen, ['listed', 'added a', 'added b'], 'nothing twice, nothing left out')
  t.ok(
    followed.failures.every(count => count === 1),
    'what had worked is no series of failures'
  )
  followed.end.abort()
  await followed.running
})

t.test('a version that is gone means a new list', async t => {
  const { api, admin } = await simulation(t, { historyMax: 2 })
  const followed = follow(t, admin)
  await saw(followed, 'listed')
  // Written while nobody listens, more than the history keeps.
  api.store.put('nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'a' } })
  await saw(followed, 'added a')
  api.interrupt()
  for (let n = 0; n < 9; n++) {
    api.store.put('nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: `n${n}` } })
  }
  await eventually(async () => (followed.seen.some(event => event.startsWith('listed a')) ? true : null))
  t.match(
    followed.seen.findLast(event => event.startsWith('listed')),
    /^listed a n0 .* n8$/
  )
  followed.end.abort()
  await followed.running
})

t.test('bookmarks move the version of a quiet resource', async t => {
  const { api, admin } = await simulation(t, { historyMax: 2, bookmarkMs: 20 })
  const followed = follow(t, admin)
  await saw(followed, 'listed')
  for (let n = 0; n < 9; n++) {
    api.store.put('secrets', { apiVersion: 'v1', kind: 'Secret', metadata: { name: `s${n}`, namespace: 'default' } })
  }
  const { socket } = await admin.stream(paths.nodes, {
    query: { watch: 1, allowWatchBookmarks: true, resourceVersion: api.store.version() },
    signal: followed.end.signal
  })
  await once(socket, 'data')
  await once(socket, 'data')
  api.interrupt()
  api.store.put('nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'a' } })
  await saw(followed, 'added a')
  t.same(followed.seen, ['listed', 'added a'], 'no second list was needed')
  followed.end.abort()
  await followed.running
})

t.test('a server that ends every watch at once is asked less and less', async t => {
  const { client } = await misbehaving(t, (request, response) => {
    const watching = request.url?.includes('watch=1')
    response.setHeader('content-type', 'application/json')
    response.end(watching ? '' : JSON.stringify({ metadata: { resourceVersion: '1' }, items: [] }))
  })
  const followed = follow(t, client)
  await eventually(async () => (followed.failures.length >= 4 ? true : null))
  followed.end.abort()
  await followed.running
  t.same(followed.failures.slice(0, 4), [1, 2, 3, 4])
})

t.test('a bug in what handles the events ends the watch with it', async t => {
  const { admin } = await simulation(t)
  const followed = follow(t, admin, () => {
    throw new TypeError('bug')
  })
  await t.rejects(followed.running, /bug/)
})

t.test('what is kept of each object is picked page by page', async t => {
  const { admin } = await simulation(t)
  await admin.create(paths.nodes, { metadata: { name: 'a' }, spec: { unschedulable: true } })
  const end = new AbortController()
  const kept: unknown[] = []
  const handle = (event: WatchEvent<string>) => {
    kept.push(event)
    end.abort()
  }
  const pick = (object: KubeObject) => `${object.metadata.name} ${(object as KubeNode).spec?.unschedulable}`
  await watch(admin, paths.nodes, { pick }, { handle, failed: () => {} }, end.signal)
  t.same(kept, [{ type: 'listed', items: ['a true'] }])
})
