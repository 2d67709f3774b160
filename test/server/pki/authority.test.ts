// The authority on a real disk; what it issues, as OpenSSL and TLS see it.

import { execFileSync } from 'node:child_process'
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { connect, createServer, type TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { type Authority, isServerDue, openAuthority } from '../../../server/pki/authority.ts'
import { makeCsr } from '../../helpers/csr.ts'
import { needs } from '../../helpers/require.ts'

// TLS and OpenSSL read the real clock.
const now = new Date()
const later = (days: number): Date => new Date(now.getTime() + days * 24 * 60 * 60_000)
const open = (folder: string, at = now) => openAuthority(folder, { now: () => at })
const names = { dns: ['localhost', 'my_host.rack.example'], ips: ['127.0.0.1', '2001:db8::1'] }
const boot = { id: 'b-00000001', machine: 'm-00000001' }

t.test('is made once, whole, and for us alone', async t => {
  const folder = join(t.testdir(), 'ca')
  const made = await open(folder)
  t.same(readdirSync(folder).toSorted(), ['ca.crt', 'ca.key'])
  t.equal(statSync(folder).mode & 0o777, 0o700)
  t.equal(statSync(join(folder, 'ca.key')).mode & 0o777, 0o600)
  t.equal((await open(folder)).caPem, made.caPem, 'the next start finds it')
  t.equal(readFileSync(join(folder, 'ca.crt'), 'utf8'), made.caPem)
  t.notMatch(made.caPem, /PRIVATE/)
})

t.test('servers that start together agree', async t => {
  const folder = join(t.testdir(), 'ca')
  const all = await Promise.all([1, 2, 3, 4].map(() => open(folder)))
  t.equal(new Set(all.map(({ caPem }) => caPem)).size, 1)
  t.same(readdirSync(folder).toSorted(), ['ca.crt', 'ca.key'])
  const issued = all.map(authority => authority.issueBoot(boot, now).certificatePem)
  const ca = new X509Certificate(all[0]!.caPem)
  t.ok(issued.every(pem => new X509Certificate(pem).verify(ca.publicKey)))
})

t.test('a lost certificate is made again for the key, and old ones stay good', async t => {
  const folder = join(t.testdir(), 'ca')
  const before = (await open(folder)).issueBoot(boot, now)
  rmSync(join(folder, 'ca.crt'))
  const again = new X509Certificate((await open(folder)).caPem)
  const old = new X509Certificate(before.certificatePem)
  t.ok(old.checkIssued(again) && old.verify(again.publicKey))
})

t.test('what is issued', async t => {
  const authority = await open(join(t.testdir(), 'ca'))
  const server = authority.issueServer(names, now)
  const shown = new X509Certificate(server.certificatePem)
  t.equal(
    shown.subjectAltName,
    'DNS:localhost, DNS:my_host.rack.example, IP Address:127.0.0.1, IP Address:2001:DB8:0:0:0:0:0:1'
  )
  t.equal(shown.serialNumber.toLowerCase(), server.serial)
  t.equal(shown.validToDate.getTime(), server.expiresAt.getTime())
  t.ok(shown.checkPrivateKey(createPrivateKey(server.keyPem)))
  const issuedBoot = authority.issueBoot(boot, now)
  t.match(new X509Certificate(issuedBoot.certificatePem), {
    subject: /OU=boot\nCN=b-00000001$/,
    subjectAltName: undefined,
    ca: false
  })
  t.ok(issuedBoot.expiresAt < later(0.2), 'a boot’s certificate is short-lived')
  const csr = makeCsr({ subject: 'root' })
  const machine = authority.issueMachine('m-00000001', csr.pem, now)
  const certificate = new X509Certificate(machine.certificatePem)
  t.match(certificate, { subject: /OU=machine\nCN=m-00000001$/, ca: false, keyUsage: ['1.3.6.1.5.5.7.3.2'] })
  t.ok(certificate.checkPrivateKey(csr.key))
  const serials = Array.from({ length: 50 }, () => authority.issueMachine('m-1', csr.pem, now).serial)
  t.equal(new Set(serials).size, 50)
  t.ok(
    serials.every(serial => /^[4-7][0-9a-f]{31}$/.test(serial)),
    '128 bits, positive, one spelling'
  )
})

t.test('nothing outlives the authority', async t => {
  const authority = await open(join(t.testdir(), 'ca'))
  const ca = new X509Certificate(authority.caPem)
  const late = authority.issueMachine('m-1', makeCsr({}).pem, later(3640))
  t.equal(late.expiresAt.getTime(), ca.validToDate.getTime())
})

const badNames: Array<[name: string, names: { dns: string[]; ips: string[] }, message: RegExp]> = [
  ['a NUL', { dns: ['a\0b'], ips: [] }, /"a\\u0000b" is no name/],
  ['an empty label', { dns: ['a..b'], ips: [] }, /no name/],
  ['beyond ASCII', { dns: ['bücher'], ips: [] }, /no name/],
  ['too long', { dns: ['a'.repeat(64)], ips: [] }, /no name/],
  ['no address', { dns: [], ips: ['10.0.0.256'] }, /no address/],
  ['nothing at all', { dns: [], ips: [] }, /needs a name or an address/]
]

t.test('server names are checked', async t => {
  const authority = await open(join(t.testdir(), 'ca'))
  for (const [name, bad, message] of badNames)
    t.throws(() => authority.issueServer(bad, now), { code: 'invalid', message }, name)
})

t.test('when a server certificate is due', async t => {
  const { certificatePem } = (await open(join(t.testdir(), 'ca'))).issueServer(names, now)
  const rows: Array<[name: string, names: typeof names, days: number, due: boolean]> = [
    ['new', names, 0, false],
    ['fewer names', { dns: ['localhost'], ips: [] }, 0, false],
    ['with two thirds gone', names, 270, true],
    ['with half gone', names, 190, false],
    ['expired', names, 500, true],
    ['another name', { ...names, dns: ['other'] }, 0, true],
    ['another address', { ...names, ips: ['127.0.0.2'] }, 0, true]
  ]
  for (const [name, wanted, days, due] of rows) t.equal(isServerDue(certificatePem, wanted, later(days)), due, name)
})

// What is on the disk is never replaced: the message says what to do.
const broken: Array<[name: string, breakIt: (folder: string) => void, message: RegExp]> = [
  [
    'a key of another authority',
    folder => writeFileSync(join(folder, 'ca.key'), pemKey()),
    /does not belong to ca\.key; restore both/
  ],
  [
    'a key that is none',
    folder => writeFileSync(join(folder, 'ca.key'), 'x'),
    /ca\.key is not a private key in PEM; restore/
  ],
  ['an empty key', folder => writeFileSync(join(folder, 'ca.key'), ''), /ca\.key is not a private key/],
  [
    'a certificate that is none',
    folder => writeFileSync(join(folder, 'ca.crt'), 'x'),
    /ca\.crt is not a certificate in PEM/
  ],
  ['a key that is gone', folder => rmSync(join(folder, 'ca.key')), /ca\.key is missing beside ca\.crt; restore it/],
  [
    'a key that others may read',
    folder => chmodSync(join(folder, 'ca.key'), 0o644),
    /others may read .*mode 644.*chmod 600/
  ],
  [
    'a folder in its place',
    folder => {
      rmSync(join(folder, 'ca.crt'))
      mkdirSync(join(folder, 'ca.crt'))
    },
    /cannot use .*ca\.crt \(EISDIR\)/
  ]
]

function pemKey(): string {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' })
}

for (const [name, breakIt, message] of broken) {
  t.test(`refuses ${name}`, async t => {
    const folder = join(t.testdir(), 'ca')
    await open(folder)
    breakIt(folder)
    await t.rejects(open(folder), { code: 'unavailable', message })
  })
}

t.test('refuses an authority that expired, or is none', async t => {
  const folder = join(t.testdir(), 'ca')
  const authority = await open(folder)
  await t.rejects(open(folder, later(3651)), {
    code: 'unavailable',
    message: /ca\.crt expired on \d{4}-\d\d-\d\d; move ca\.crt away/
  })
  const leaf = authority.issueBoot(boot, now)
  writeFileSync(join(folder, 'ca.crt'), leaf.certificatePem)
  writeFileSync(join(folder, 'ca.key'), leaf.keyPem)
  await t.rejects(open(folder), { code: 'unavailable', message: /not the certificate of an authority/ })
})

t.test('refuses a folder that cannot be made', async t => {
  await t.rejects(open(join(t.testdir({ file: '' }), 'file')), { code: 'unavailable', message: /cannot use .*ENOTDIR/ })
})

t.test('OpenSSL accepts every chain, strictly', needs({ programs: ['openssl'] }), async t => {
  const folder = join(t.testdir(), 'ca')
  const authority = await open(folder)
  verifyAll(t, folder, authority)
})

const given: Array<[name: string, algorithm: string[]]> = [
  ['RSA', ['-newkey', 'rsa:2048']],
  ['P-384', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384']],
  ['Ed25519', ['-newkey', 'ed25519']]
]

for (const [name, algorithm] of given) {
  t.test(`an operator's own authority: ${name}`, needs({ programs: ['openssl'] }), async t => {
    const folder = t.testdir()
    const extensions = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign']
    const args = [
      'req',
      '-x509',
      ...algorithm,
      '-nodes',
      '-days',
      '30',
      '-subj',
      '/C=CH/O=Räck & Co/CN=Own',
      '-utf8',
      '-out',
      'ca.crt',
      '-keyout',
      'ca.key'
    ]
    execFileSync('openssl', [...args, ...extensions.flatMap(one => ['-addext', one])], { cwd: folder, stdio: 'ignore' })
    chmodSync(join(folder, 'ca.key'), 0o600)
    verifyAll(t, folder, await open(folder))
  })
}

function verifyAll(t: Test, folder: string, authority: Authority): void {
  const csr = (type: 'ec' | 'rsa' | 'ed25519') => makeCsr({ type }).pem
  const rows: Array<[name: string, purpose: string, pem: string]> = [
    ['server', 'sslserver', authority.issueServer(names, now).certificatePem],
    ['boot', 'sslclient', authority.issueBoot(boot, now).certificatePem],
    ...(['ec', 'rsa', 'ed25519'] as const).map(
      type =>
        [type, 'sslclient', authority.issueMachine('m-1', csr(type), now).certificatePem] as [string, string, string]
    )
  ]
  for (const [name, purpose, pem] of rows) {
    const file = join(folder, `${name}.pem`)
    writeFileSync(file, pem)
    const args = ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', join(folder, 'ca.crt'), file]
    t.match(execFileSync('openssl', args, { encoding: 'utf8' }), /: OK/, name)
  }
  const file = join(folder, 'server.pem')
  const asClient = ['verify', '-x509_strict', '-purpose', 'sslclient', '-CAfile', join(folder, 'ca.crt'), file]
  t.throws(
    () => execFileSync('openssl', asClient, { stdio: 'ignore' }),
    'a server certificate is no client certificate'
  )
}

t.test('mutual TLS: ours are let in, nobody else', async t => {
  const dir = t.testdir()
  const ours = await open(join(dir, 'ours'))
  const theirs = await open(join(dir, 'theirs'))
  const identity = ours.issueServer(names, now)
  const server = createServer({
    key: identity.keyPem,
    cert: identity.certificatePem,
    ca: ours.caPem,
    requestCert: true,
    rejectUnauthorized: false
  })
  server.on('tlsClientError', () => {}) // a client that refuses us hangs up
  server.on('secureConnection', socket => {
    const serial = socket.getPeerX509Certificate()?.serialNumber.toLowerCase() ?? 'none'
    socket.on('error', () => {}).end(`${socket.authorized ? 'yes' : 'no'} ${serial}`)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo

  const csr = makeCsr({})
  const machine = ours.issueMachine('m-1', csr.pem, now)
  const mine = { cert: machine.certificatePem, key: csr.key.export({ type: 'pkcs8', format: 'pem' }) }
  const alien = theirs.issueBoot(boot, now)
  const asServer = { cert: identity.certificatePem, key: identity.keyPem }
  const ask = async (options: object): Promise<string> => {
    const socket: TLSSocket = connect({ port, host: '127.0.0.1', ca: ours.caPem, ...options })
    return Buffer.concat(await socket.toArray()).toString()
  }
  t.equal(await ask(mine), `yes ${machine.serial}`)
  t.equal(await ask({}), 'no none')
  t.match(await ask({ cert: alien.certificatePem, key: alien.keyPem }), /^no /, 'another authority')
  t.match(await ask(asServer), /^no /, 'a server certificate is no client’s')
  await t.rejects(ask({ ...mine, ca: theirs.caPem }), 'a client that knows another authority leaves')
  await t.rejects(ask({ ...mine, servername: 'other.example' }), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  t.match(await ask({ ...mine, servername: 'localhost' }), /^yes /)
})
