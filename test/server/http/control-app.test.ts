// The control plane over real TLS: who may call what, for every route there is; agents from enrolment to retirement.

import { generateKeyPairSync } from 'node:crypto'
import { Agent, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createCsr } from '../../../agent/csr.ts'
import type { EnrolReply, Report } from '../../../server/contract/agent.ts'
import { buildBootApp } from '../../../server/http/boot-app.ts'
import { buildControlApp } from '../../../server/http/control-app.ts'
import { openAuthority } from '../../../server/pki/authority.ts'
import { armMachine, nodeReady, retireMachine } from '../../../server/provision/machines.ts'
import { latestBoot } from '../../../server/store/boots.ts'
import { findCertificate } from '../../../server/store/certificates.ts'
import { listEvents } from '../../../server/store/events.ts'
import { getMachine, listMachines, updateMachine } from '../../../server/store/machines.ts'
import { listSlots, takeSlot } from '../../../server/store/slots.ts'
import { buildPage } from '../../../server/web/build.ts'
import { bootUrl, createWorld, nodeView, profile, putDocuments, ruleOf } from '../../helpers/http.ts'

interface Reply {
  readonly status: number
  readonly body: string
  readonly headers: Record<string, string | string[] | undefined>
}

type Call = (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Reply>

interface Key {
  readonly cert: string
  readonly key: string
}

async function plane(t: Test) {
  const folder = t.testdir()
  const real = new Date()
  const authority = await openAuthority(join(folder, 'ca'), { now: () => real })
  const world = await createWorld(t, authority, await buildPage())
  world.clock.now = real // certificates are checked by the system's clock
  await putDocuments(world, 'auto')
  const server = authority.issueServer({ dns: ['localhost'], ips: ['127.0.0.1'] }, real)
  const tls = { key: server.keyPem, cert: server.certificatePem, ca: authority.caPem }
  const app = await buildControlApp(world, tls)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const boot = await buildBootApp(world)
  const agents: Agent[] = []
  t.teardown(async () => {
    for (const agent of agents) agent.destroy()
    await Promise.all([app.close(), boot.close()])
  })
  const { port } = app.server.address() as AddressInfo
  const caller = (identity: Partial<Key> = {}, headers: Record<string, string> = {}): Call => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: authority.caPem, ...identity })
    agents.push(agent)
    return async (method, path, body, more = {}) => call(agent, port, method, path, body, { ...headers, ...more })
  }
  /** Boots machine `n` from the network up to the delivered config, and returns the certificate in it. */
  const deliver = async (n: number): Promise<{ id: string; identity: Key }> => {
    const from = { remoteAddress: `192.0.2.${n}` }
    const script = (await boot.inject({ url: bootUrl(n), ...from })).body
    const config = await boot.inject({ url: /ignition_url=http:\/\/[^/]+(\S+)/.exec(script)![1]!, ...from })
    const { files } = JSON.parse(config.body).storage
    const contents = (path: string) => {
      const file = files.find((each: { path: string }) => each.path === path)
      return Buffer.from(file.contents.source.replace(/^data:[^,]*,/, ''), 'base64').toString()
    }
    const machine = (await listMachines(world.db)).find(({ address }) => address === `192.0.2.${n}`)
    return {
      id: machine!.id,
      identity: { cert: contents('/etc/slipway/boot.crt'), key: contents('/etc/slipway/boot.key') }
    }
  }
  const enrol = async (n: number) => {
    const { id, identity } = await deliver(n)
    const asked = csr()
    const reply = await caller(identity)('POST', '/agent/v1/enrol', { csr: asked.csr })
    const enrolled = JSON.parse(reply.body) as EnrolReply
    return { id, boot: identity, reply: enrolled, own: { cert: enrolled.certificate, key: asked.key } }
  }
  return { world, app, boot, caller, deliver, enrol, port }
}

function csr(): { csr: string; key: string } {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' })
  return { csr: createCsr(key, 'whoever'), key }
}

async function call(
  agent: Agent,
  port: number,
  method: string,
  path: string,
  body: unknown,
  headers: Record<string, string>
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body)
    // Node frames the body of a DELETE only when it is told how long it is.
    const length = String(Buffer.byteLength(text ?? ''))
    const type = text === undefined ? {} : { 'content-type': 'application/json', 'content-length': length }
    const asked = request({ agent, host: '127.0.0.1', port, method, path, headers: { ...type, ...headers } }, reply => {
      const { statusCode: status = 0 } = reply
      if (reply.headers['content-type']?.startsWith('text/event-stream') === true) {
        reply.destroy()
        return resolve({ status, body: '', headers: reply.headers })
      }
      const chunks: Buffer[] = []
      reply.on('data', chunk => chunks.push(chunk))
      reply.on('end', () => resolve({ status, body: Buffer.concat(chunks).toString(), headers: reply.headers }))
    })
    asked.on('error', reject)
    asked.end(text)
  })
}

// Every route of the control plane and who may call it. A route that is not here fails the test, and so does a row
// without a route. HEAD comes with GET.
const table = `
  public   GET /   GET /healthz   GET /readyz   GET /openapi.json   POST /api/v1/session
           GET /web/style.css   GET /web/icon.svg   GET /web/main.ts   GET /web/api.ts   GET /web/live.ts   GET /web/list.ts
           GET /web/machine.ts   GET /web/nodes.ts   GET /web/notices.ts   GET /web/login.ts   GET /web/words.ts
           GET /web/preact.mjs   GET /web/preact-hooks.mjs
  viewer   GET /metrics   GET /api/v1/services   GET /api/v1/session   DELETE /api/v1/session   GET /api/v1/watch
           GET /api/v1/machines   GET /api/v1/machines/:ref
           GET /api/v1/boots   GET /api/v1/boots/:id   GET /api/v1/leases   GET /api/v1/events
           GET /api/v1/dhcp-servers   GET /api/v1/notices
           GET /api/v1/nodes   GET /api/v1/nodes/:name
           GET /api/v1/profiles   GET /api/v1/profiles/:name   GET /api/v1/rules   GET /api/v1/rules/:name
           GET /api/v1/clusters   GET /api/v1/clusters/:name   GET /api/v1/facts   GET /api/v1/facts/:name
  operator POST /api/v1/machines/:ref/approve   POST /api/v1/machines/:ref/reject
           POST /api/v1/machines/:ref/install   POST /api/v1/machines/:ref/retire   POST /api/v1/nodes/:name/version
  admin    POST /api/v1/apply   PUT /api/v1/profiles/:name   DELETE /api/v1/profiles/:name
           PUT /api/v1/rules/:name   DELETE /api/v1/rules/:name   PUT /api/v1/clusters/:name   DELETE /api/v1/clusters/:name
           PUT /api/v1/facts/:name   DELETE /api/v1/facts/:name
  boot     POST /agent/v1/enrol
  machine  POST /agent/v1/renew   GET /agent/v1/desired   POST /agent/v1/join   POST /agent/v1/report
           POST /agent/v1/cluster   GET /agent/v1/extensions/:version   POST /agent/v1/slot   DELETE /agent/v1/slot
`

function rowsOf(text: string): string[] {
  let access = ''
  return text.split('\n').flatMap(line => {
    access = /^ {2}(\w+)/.exec(line)?.[1] ?? access
    return [...line.matchAll(/(GET|POST|PUT|DELETE) (\S+)/g)].map(([, method, url]) => `${method} ${url} ${access}`)
  })
}

t.test('every route and everybody', async t => {
  const { world, app, caller, deliver, enrol } = await plane(t)
  const actual = app.accessTable!.filter(row => !row.startsWith('HEAD'))
  t.same(actual.toSorted(), rowsOf(table).toSorted(), 'the table names each route, with its access')

  const { own } = await enrol(1)
  const { identity: boot } = await deliver(2)
  const { tokens } = world
  const everybody: Record<string, Call> = {
    nobody: caller(),
    'a wrong token': caller({}, { authorization: 'Bearer wrong' }),
    viewer: caller({}, { authorization: tokens.viewer }),
    operator: caller({}, { authorization: tokens.operator }),
    admin: caller({}, { authorization: tokens.admin }),
    boot: caller(boot),
    machine: caller(own)
  }
  const ranks = ['viewer', 'operator', 'admin']
  const expected = (access: string, who: string): 401 | 403 | 'in' => {
    if (access === 'public' || access === who) return 'in'
    if (access === 'boot' || access === 'machine') return who === 'boot' || who === 'machine' ? 403 : 401
    if (!ranks.includes(who)) return 401
    return ranks.indexOf(who) >= ranks.indexOf(access) ? 'in' : 403
  }
  for (const row of rowsOf(table)) {
    const [method, url, access] = row.split(' ') as [string, string, string]
    const path = url.replace(/:\w+/, 'v9.9.9')
    const got: Record<string, unknown> = {}
    const want: Record<string, unknown> = {}
    for (const [who, ask] of Object.entries(everybody)) {
      want[who] = expected(access, who)
      const origin = url === '/api/v1/session' ? { origin: 'https://127.0.0.1' } : {}
      const { status } = await ask(method, path, method === 'GET' ? undefined : {}, origin)
      // A login without the right origin is refused by its own rule; sessions have a test of their own.
      got[who] = status === 401 || (status === 403 && row !== 'POST /api/v1/session public') ? status : 'in'
    }
    t.same(got, want, row)
  }
  t.same(world.logged, [], 'and no bug was met')
})

t.test('unknown fields, wrong types and other shapes are refused by name', async t => {
  const { world, caller } = await plane(t)
  const ask = caller({}, { authorization: world.tokens.admin })
  const rows: Array<[method: string, path: string, body: unknown, said: RegExp]> = [
    ['POST', '/api/v1/machines/x/approve', { profile: 'worker', force: true }, /body must NOT have additional.*force/],
    ['POST', '/api/v1/machines/x/install', { wipe: 'yes' }, /body\.wipe must be boolean/],
    ['POST', '/api/v1/machines/x/approve', { name: 'Not A Name' }, /body\.name must match/],
    ['GET', '/api/v1/machines?state=lost', undefined, /querystring\.state/],
    ['GET', '/api/v1/machines?colour=red', undefined, /colour/],
    ['GET', '/api/v1/events?limit=-1', undefined, /querystring\.limit/],
    ['POST', '/api/v1/nodes/n/version', { version: '1.36' }, /body\.version/],
    ['POST', '/api/v1/apply', {}, /body must be array/],
    ['PUT', '/api/v1/profiles/a', { ...profile, metadata: { name: 'b' } }, /must be the Profile a/]
  ]
  for (const [method, path, body, said] of rows) {
    const reply = await ask(method, path, body)
    t.equal(reply.status, 400, `${method} ${path}`)
    t.match(reply.headers['content-type'], /application\/problem\+json/)
    t.match(JSON.parse(reply.body).detail, said, `${method} ${path}`)
  }
  const lost = await ask('GET', '/api/v1/machines/nobody')
  t.match(JSON.parse(lost.body), { title: 'not found', status: 404, detail: /slipway get machines/ })
})

t.test('documents', async t => {
  const { world, caller } = await plane(t)
  const ask = caller({}, { authorization: world.tokens.admin })
  t.equal((await ask('DELETE', '/api/v1/profiles/worker')).status, 400, 'a rule still needs it')
  const cluster = { apiVersion: 'slipway.dev/v1', kind: 'Cluster', metadata: { name: 'rack' } }
  const spec = { endpoint: '192.0.2.1:6443', version: 'v1.36.3' }
  const rule = { ...ruleOf('manual'), metadata: { name: 'second' } }
  t.match((await ask('POST', '/api/v1/apply', [{ ...rule, spec: { ...rule.spec, profile: 'none' } }])).body, /none/)
  t.equal((await ask('GET', '/api/v1/rules/second')).status, 404, 'nothing of it was written')
  t.same(world.asked, [], 'and nobody was told')
  t.same(JSON.parse((await ask('POST', '/api/v1/apply', [{ ...cluster, spec }, rule])).body), [
    { kind: 'Cluster', name: 'rack', result: 'created' },
    { kind: 'Rule', name: 'second', result: 'created' }
  ])
  t.same(JSON.parse((await ask('GET', '/api/v1/clusters/rack')).body), { ...cluster, spec })
  t.equal((await ask('PUT', '/api/v1/rules/second', rule)).status, 200)
  t.equal((await ask('DELETE', '/api/v1/rules/second')).status, 200)
  t.equal((await ask('DELETE', '/api/v1/rules/second')).status, 404)
  t.same(world.asked, ['documents', 'documents', 'documents'], 'each change is told once')
})

t.test('an agent: enrol, report, renew, upgrade', async t => {
  const { world, caller, enrol } = await plane(t)
  const { db } = world
  const { id, boot, reply, own } = await enrol(1)
  t.match(reply, { machine: { id, name: 'node-1' }, ca: world.authority.caPem, renewBeforeSeconds: Number })
  t.match(await getMachine(db, id), { state: 'enrolled', wipe: false })
  t.match(await latestBoot(db, id), { state: 'confirmed' })

  const again = await caller(boot)('POST', '/agent/v1/enrol', { csr: csr().csr })
  t.equal(again.status, 200, 'a reply that got lost is asked for again')
  t.equal((await caller(own)('GET', '/agent/v1/desired')).status, 403, 'and what was lost is no good any more')
  const fresh = await enrol(2)
  const ask = caller(fresh.own)
  t.match(JSON.parse((await ask('GET', '/agent/v1/desired')).body), {
    node: { name: 'node-2', role: 'worker', version: 'v1.36.3' }
  })
  t.equal((await ask('POST', '/agent/v1/join', {})).status, 200)
  t.equal((await ask('POST', '/agent/v1/cluster', { kubeconfig: 'apiVersion: v1' })).status, 200)
  t.match(JSON.parse((await ask('GET', '/agent/v1/extensions/v1.36.3')).body), {
    url: `${world.places.boot}/assets/extensions/kubernetes-v1.36.3-x86_64.raw`,
    size: 9
  })
  t.equal((await ask('GET', '/agent/v1/extensions/v1.30.0')).status, 404)

  const step = (seq: number, edge: 'begin' | 'end' | 'failed') => {
    return { seq, at: world.clock.now.toISOString(), step: 'join', edge, message: `step ${seq}` }
  }
  const report: Report = { phase: 'joining', steps: [step(1, 'begin'), step(2, 'end')], kubeletVersion: null }
  t.equal((await ask('POST', '/agent/v1/report', report)).status, 200)
  t.equal(
    (await ask('POST', '/agent/v1/report', { ...report, steps: [...report.steps, step(3, 'begin')] })).status,
    200
  )
  const steps = (await listEvents(db, { machine: fresh.id, limit: 100 })).filter(({ type }) => type === 'agent.step')
  t.same(
    steps.map(({ detail }) => detail.seq),
    [1, 2, 3],
    'a step that is told twice is one line'
  )
  t.equal((await caller(fresh.boot)('POST', '/agent/v1/enrol', { csr: csr().csr })).status, 403, 'one report ends it')

  world.nodesSeen.push(nodeView('node-2', 'v1.36.3'))
  await ask('POST', '/agent/v1/report', { phase: 'joined', steps: [], kubeletVersion: 'v1.36.3' })
  t.match(await getMachine(db, fresh.id), { state: 'ready', version: 'v1.36.3' })
  await nodeReady(world, 'node-2', 'v1.36.3')

  const renewed = csr()
  const certificate = JSON.parse((await ask('POST', '/agent/v1/renew', { csr: renewed.csr })).body).certificate
  t.equal((await caller({ cert: certificate, key: renewed.key })('GET', '/agent/v1/desired')).status, 200)
  t.equal((await ask('POST', '/agent/v1/renew', { csr: 'not a request' })).status, 400)

  const slot = await ask('POST', '/agent/v1/slot', { target: 'v1.36.3' })
  t.match(JSON.parse(slot.body), { granted: true, command: 'node' })
  t.equal((await ask('POST', '/agent/v1/slot', { target: 'v1.36.3' })).status, 200, 'asked again, granted again')
  t.match(await getMachine(db, fresh.id), { state: 'maintenance' })
  t.equal((await ask('DELETE', '/agent/v1/slot', { outcome: 'upgraded' })).status, 200)
  t.equal((await ask('DELETE', '/agent/v1/slot', { outcome: 'upgraded' })).status, 200)
  t.match(await getMachine(db, fresh.id), { state: 'ready' })
  await takeSlot(db, id, 'v1.36.3', world.clock.now)
  t.match(JSON.parse((await ask('POST', '/agent/v1/slot', { target: 'v1.36.3' })).body), { status: 409 })

  await ask('POST', '/agent/v1/report', { phase: 'failed', steps: [step(4, 'failed')], kubeletVersion: null })
  t.match(await getMachine(db, fresh.id), { state: 'failed', reason: 'step 4' })
  await updateMachine(db, fresh.id, { name: 'early' }, world.clock.now)
  const early = await ask('POST', '/agent/v1/join', {})
  t.match([early.status, early.headers['retry-after']], [503, '5'])
  const waiting = await enrol(3)
  await updateMachine(db, fresh.id, { name: 'late' }, world.clock.now)
  await updateMachine(db, waiting.id, { name: 'early' }, world.clock.now)
  await caller(waiting.own)('POST', '/agent/v1/join', {})
  t.match(await getMachine(db, waiting.id), { state: 'enrolled', reason: /^cannot join yet: / })
  await updateMachine(db, waiting.id, { name: 'node-3' }, world.clock.now)
  await caller(waiting.own)('POST', '/agent/v1/join', {})
  t.match(await getMachine(db, waiting.id), { state: 'enrolled', reason: null })
})

t.test('a machine that is installed again begins anew', async t => {
  const { world, caller, enrol } = await plane(t)
  const { db, clock } = world
  const first = await enrol(1)
  const step = (message: string) => ({ seq: 1, at: clock.now.toISOString(), step: 'join', edge: 'failed', message })
  const tell = async ({ own }: { own: Key }, message: string) => {
    const report = { phase: 'failed', steps: [step(message)], kubeletVersion: null }
    return (await caller(own)('POST', '/agent/v1/report', report)).status
  }
  await takeSlot(db, first.id, 'v1.36.3', clock.now)
  t.equal(await tell(first, 'the disk is broken'), 200)
  t.match(await getMachine(db, first.id), { state: 'failed', reason: 'the disk is broken' })
  await armMachine(world, first.id, true)
  t.same(await listSlots(db), [], 'others need not wait for it')
  const again = await enrol(1)
  t.equal(again.id, first.id)
  t.equal(await tell(first, 'the old system'), 403)
  t.equal(await tell(again, 'the new system'), 200)
  const told = (await listEvents(db, { machine: first.id, limit: 100 })).filter(({ type }) => type === 'agent.step')
  t.same(
    told.map(({ message }) => message),
    ['join failed: the disk is broken', 'join failed: the new system'],
    'the numbers of its journal begin again'
  )
})

t.test('trust ends at once', async t => {
  const { world, caller, enrol, deliver } = await plane(t)
  const { id, own } = await enrol(1)
  const ask = caller(own)
  const first = await ask('GET', '/agent/v1/desired')
  t.equal(first.status, 200)
  world.nodesSeen.push(nodeView('node-1', 'v1.36.3'))
  await retireMachine(world, id)
  const next = await ask('GET', '/agent/v1/desired')
  t.equal(next.status, 403, 'refused on the next request of the same connection')
  t.match(world.asked, ['delete node-1'])

  const other = await deliver(2)
  await retireMachine(world, other.id)
  t.equal((await caller(other.identity)('POST', '/agent/v1/enrol', { csr: csr().csr })).status, 403)

  const armed = await enrol(3)
  await armMachine(world, armed.id, false)
  t.equal((await caller(armed.boot)('POST', '/agent/v1/enrol', { csr: csr().csr })).status, 410)

  const late = await deliver(4)
  world.clock.now = new Date(world.clock.now.getTime() + 3 * 3600_000)
  t.equal((await caller(late.identity)('POST', '/agent/v1/enrol', { csr: csr().csr })).status, 401, 'it has expired')

  const stranger = await openAuthority(join(t.testdir(), 'other'), { now: () => new Date() })
  const asked = csr()
  const forged = stranger.issueMachine(id, asked.csr, new Date())
  t.equal((await caller({ cert: forged.certificatePem, key: asked.key })('GET', '/agent/v1/desired')).status, 401)
  const unrecorded = csr()
  const issued = world.authority.issueMachine(id, unrecorded.csr, new Date())
  t.equal(await findCertificate(world.db, issued.serial), null)
  t.equal(
    (await caller({ cert: issued.certificatePem, key: unrecorded.key })('GET', '/agent/v1/desired')).status,
    401,
    'one that the store does not know'
  )
})

t.test('sessions', async t => {
  const { world, caller, port } = await plane(t)
  const own = { origin: `https://127.0.0.1:${port}` }
  const ask = caller()
  const code = world.logins.issueCode('operator')
  t.equal((await ask('POST', '/api/v1/session', { code })).status, 403, 'no origin')
  t.equal((await ask('POST', '/api/v1/session', { code }, { origin: 'https://evil.example' })).status, 403)
  const entered = await ask('POST', '/api/v1/session', { code }, own)
  t.equal(entered.status, 200)
  const [cookie] = entered.headers['set-cookie'] as string[]
  t.match(cookie, /HttpOnly; SameSite=Strict; Secure/)
  t.equal((await ask('POST', '/api/v1/session', { code }, own)).status, 401, 'a code works once')
  const session = { cookie: cookie!.split(';')[0]! }
  t.match(JSON.parse((await ask('GET', '/api/v1/session', undefined, session)).body), { role: 'operator' })
  const write = ['POST', '/api/v1/machines/x/approve', {}] as const
  t.equal((await ask(...write, session)).status, 403, 'another site could make a browser do this')
  t.equal((await ask(...write, { ...session, origin: 'https://evil.example' })).status, 403)
  t.equal((await ask(...write, { ...session, ...own })).status, 404, 'our own page may')
  t.equal((await ask('DELETE', '/api/v1/session', undefined, { ...session, ...own })).status, 200)
  t.equal((await ask('GET', '/api/v1/machines', undefined, session)).status, 401)
  const byToken = await ask('POST', '/api/v1/session', { code: 'viewer-token' }, own)
  t.match([byToken.status, JSON.parse(byToken.body)], [200, { role: 'viewer' }], 'an access token enters as its role')
  const old = world.logins.issueCode('admin')
  world.clock.now = new Date(world.clock.now.getTime() + 2 * 3600_000)
  t.equal((await ask('POST', '/api/v1/session', { code: old }, own)).status, 401, 'nor for ever')
})

t.test('what was missed is sent again', async t => {
  const { world, boot, app } = await plane(t)
  await boot.inject({ url: bootUrl(1) })
  const read = async (headers: Record<string, string>) => {
    const reply = await app.inject({
      url: '/api/v1/watch',
      headers: { authorization: world.tokens.viewer, ...headers },
      payloadAsStream: true
    })
    let text = ''
    for await (const chunk of reply.stream()) {
      text += String(chunk)
      if (text.includes('boot.script')) break
    }
    return text
  }
  const resumed = await read({ 'last-event-id': '1' })
  t.match(resumed, /^retry: 1000\n\nid: 2\nevent: timeline\n/)
  const live = read({})
  await boot.inject({ url: bootUrl(2) })
  t.match(await live, /event: timeline/)
})

t.test('the page’s own files, the API’s description, the numbers', async t => {
  const { world, caller, enrol } = await plane(t)
  const ask = caller({}, { authorization: world.tokens.viewer })
  const page = await ask('GET', '/')
  t.match(page.headers['content-security-policy'], /default-src 'none'; script-src 'self' 'sha256-/)
  t.equal((await ask('GET', '/', undefined, { 'if-none-match': String(page.headers.etag) })).status, 304)
  t.notMatch((await ask('GET', '/web/api.ts')).body, /: Promise<T>/, 'types are gone')
  t.match(JSON.parse((await ask('GET', '/openapi.json')).body), {
    openapi: '3.1.0',
    paths: { '/api/v1/machines': {} }
  })
  await enrol(1)
  world.nodesSeen.push(
    { ...nodeView('n1', 'v1.36.3'), state: 'draining' },
    { ...nodeView('n2', 'v1.36.3'), state: 'draining' },
    { ...nodeView('n3', 'v1.36.3'), state: 'what a node likes' }
  )
  const metrics = (await ask('GET', '/metrics')).body
  t.match(metrics, 'slipway_boot_stage_seconds_count{stage="load"} 1\n')
  t.match(metrics, 'slipway_boot_stage_seconds_count{stage="install"} 1\n')
  t.same(metrics.match(/^slipway_upgrade_nodes.*/gm), ['slipway_upgrade_nodes{state="draining"} 2'])
  for (const name of ['machines', 'boots_total', 'configs_delivered_total', 'certificates_issued_total', 'slots']) {
    t.match(metrics, `slipway_${name}`)
  }
  t.match(JSON.parse((await ask('GET', '/readyz')).body), { ready: true, cluster: 'ok' })
})
