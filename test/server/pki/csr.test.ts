// Certificate requests: whose key is taken, and everything that is not one.

import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { join } from 'node:path'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { Fault } from '../../../server/core/fault.ts'
import { checkCsr } from '../../../server/pki/csr.ts'
import { toPem } from '../../../server/pki/der.ts'
import { makeCsr, makeKeys } from '../../helpers/csr.ts'
import { seeded } from '../../helpers/random.ts'
import { needs } from '../../helpers/require.ts'

const ec = makeKeys('ec')
const good = makeCsr({ keys: ec })
const spki = ec.publicKey.export({ type: 'spki', format: 'der' })
const pem = (bytes: Buffer): string => toPem('CERTIFICATE REQUEST', bytes)
const keysOf = (type: 'ec' | 'rsa', options: object) =>
  generateKeyPairSync(type as 'ec', options as { namedCurve: string })

t.test('takes the key', async t => {
  t.same(checkCsr(good.pem), spki)
  t.same(checkCsr(good.pem.replaceAll('\n', '\r\n')), spki)
  t.same(checkCsr(good.pem.replaceAll('CERTIFICATE', 'NEW CERTIFICATE')), spki)
})

for (const type of ['ec', 'rsa', 'ed25519'] as const) {
  t.test(`of type ${type}`, async t => t.type(checkCsr(makeCsr({ type }).pem), Buffer))
}

const real: Array<[name: string, args: string[]]> = [
  ['EC', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']],
  ['EC with SHA-384', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-sha384']],
  ['RSA', ['-newkey', 'rsa:2048']],
  ['Ed25519', ['-newkey', 'ed25519']],
  ['with extensions', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-addext', 'subjectAltName=DNS:other']]
]

for (const [name, args] of real) {
  t.test(`OpenSSL's: ${name}`, needs({ programs: ['openssl'] }), async t => {
    const cwd = t.testdir()
    const rest = ['-nodes', '-keyout', 'key', '-out', 'csr', '-subj', '/O=system:masters/CN=kubernetes-admin']
    execFileSync('openssl', ['req', '-new', ...args, ...rest], { cwd, stdio: 'ignore' })
    t.type(checkCsr(readFileSync(join(cwd, 'csr'), 'utf8')), Buffer)
  })
}

t.test('a key with explicit curve parameters', needs({ programs: ['openssl'] }), async t => {
  const cwd = t.testdir()
  const explicit = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-pkeyopt', 'ec_param_enc:explicit']
  execFileSync('openssl', ['req', '-new', ...explicit, '-nodes', '-keyout', 'key', '-out', 'csr', '-subj', '/CN=x'], {
    cwd,
    stdio: 'ignore'
  })
  t.throws(() => checkCsr(readFileSync(join(cwd, 'csr'), 'utf8')), { code: 'invalid' })
})

const other = makeKeys('ec').privateKey
const flipped = Buffer.from(good.der)
flipped[flipped.length - 1]! ^= 1
const longer = Buffer.concat([good.der, Buffer.of(0)])
// A length in more bytes than needed is BER, not DER; the same bytes could then be signed and stored differently.
const ber = Buffer.concat([Buffer.of(0x30, 0x82, 0x00, good.der.length - 3), good.der.subarray(3)])

const rows: Array<[name: string, text: string, message: RegExp]> = [
  ['nothing', '', /not one PEM block/],
  ['a certificate', toPem('CERTIFICATE', good.der), /not one PEM block/],
  ['two requests', good.pem + good.pem, /not one PEM block/],
  ['something before it', `x\n${good.pem}`, /not one PEM block/],
  ['too long', good.pem + ' '.repeat(8192), /longer than 8192/],
  ['no DER', pem(Buffer.from('hello')), /not well-formed/],
  ['half', pem(good.der.subarray(0, 80)), /not well-formed/],
  ['a byte too many', pem(longer), /not well-formed/],
  ['BER', pem(ber), /not well-formed/],
  ['nested without end', pem(Buffer.from('30800000'.repeat(500), 'hex')), /not well-formed/],
  ['nested deeply', pem(nested(60)), /not well-formed/],
  ['signed by another key', makeCsr({ keys: ec, signer: other }).pem, /not signed by the key it names/],
  ['one bit changed', pem(flipped), /not signed by the key|malformed signature/],
  [
    'an algorithm of another key type',
    makeCsr({ keys: ec, algorithm: '1.2.840.113549.1.1.11' }).pem,
    /algorithm that is not accepted/
  ],
  ['SHA-1', makeCsr({ keys: ec, algorithm: '1.2.840.10045.4.1' }).pem, /algorithm that is not accepted/],
  ['P-384', makeCsr({ keys: keysOf('ec', { namedCurve: 'P-384' }) }).pem, /EC key that is not P-256/],
  ['secp256k1', makeCsr({ keys: keysOf('ec', { namedCurve: 'secp256k1' }) }).pem, /EC key that is not P-256/],
  [
    'RSA of 1024 bits',
    makeCsr({ type: 'rsa', keys: keysOf('rsa', { modulusLength: 1024 }) }).pem,
    /RSA key of 1024 bits/
  ]
]

for (const [name, text, message] of rows) {
  t.test(`refuses ${name}`, async t => {
    const error = t.throws(() => checkCsr(text), { code: 'invalid', message })
    t.type(error, Fault)
  })
}

function nested(depth: number): Buffer {
  let bytes = Buffer.alloc(0)
  for (let i = 0; i < depth; i++) bytes = Buffer.concat([Buffer.of(0x30, bytes.length), bytes])
  return bytes
}

// To repeat a failure: SEED=123 node test/server/pki/csr.test.ts
t.test('whatever comes in: our key, or a Fault invalid', async t => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
  t.comment(`SEED=${seed}`)
  const random = seeded(seed)
  for (let i = 0; i < 3000; i++) {
    const bytes = mutate(good.der, random)
    const text = random() < 0.1 ? mutate(Buffer.from(good.pem), random).toString('latin1') : pem(bytes)
    try {
      if (!checkCsr(text).equals(spki)) t.fail(`SEED=${seed}: took another key at ${i}`)
    } catch (error) {
      if (!(error instanceof Fault) || error.code !== 'invalid') t.fail(`SEED=${seed}: ${String(error)} at ${i}`)
    }
  }
  t.pass('3,000 requests')
})

function mutate(good: Buffer, random: () => number): Buffer {
  const bytes = Buffer.from(good)
  for (let changes = 1 + Math.floor(random() * 4); changes > 0; changes--) {
    bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256)
  }
  const end = random() < 0.2 ? Math.floor(random() * bytes.length) : bytes.length
  return bytes.subarray(0, Math.max(1, end))
}
