// Which certificate request is approved: one row each for everything that may be wrong. The requests are encoded by
// node-forge, so that our reader is held to somebody else's writer.

import { generateKeyPairSync, randomBytes } from 'node:crypto'
import forge from 'node-forge'
import t from 'tap'
import { decideCsr, type MintedToken, type SeenRequest, tokenIdOf } from '../../../server/core/csr-approval.ts'
import { readCertificateRequest } from '../../../server/kube/csr.ts'
import { seeded } from '../../helpers/random.ts'
import { certificateRequest } from '../../lab/rack/csr.ts'

const noon = new Date('2026-01-02T12:00:00Z')
const pem = { type: 'pkcs1', format: 'pem' } as const
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const rsa = forge.pki.privateKeyFromPem(privateKey.export(pem))

interface Wanted {
  readonly names?: ReadonlyArray<{ name: string; value: string }>
  readonly alternativeNames?: readonly string[]
}

function written({ names, alternativeNames = [] }: Wanted = {}): string {
  const request = forge.pki.createCertificationRequest()
  request.publicKey = forge.pki.setRsaPublicKey(rsa.n, rsa.e)
  request.setSubject([...(names ?? [organization('system:nodes'), commonName('system:node:n1')])])
  if (alternativeNames.length > 0) {
    const altNames = alternativeNames.map(value => ({ type: 2, value }))
    request.setAttributes([{ name: 'extensionRequest', extensions: [{ name: 'subjectAltName', altNames }] }])
  }
  request.sign(rsa, forge.md.sha256.create())
  return forge.pki.certificationRequestToPem(request)
}

const commonName = (value: string) => ({ name: 'commonName', value })
const organization = (value: string) => ({ name: 'organizationName', value })

const token: MintedToken = { id: 'abcdef', node: 'n1', csr: null, expiresAt: new Date('2026-01-02T12:15:00Z') }
const seen: SeenRequest = {
  name: 'csr-1',
  username: 'system:bootstrap:abcdef',
  signerName: 'kubernetes.io/kube-apiserver-client-kubelet',
  usages: ['digital signature', 'client auth'],
  request: readCertificateRequest(written())
}

const subject = (...names: Array<{ name: string; value: string }>) => ({
  request: readCertificateRequest(written({ names }))
})

type Row = [name: string, request: Partial<SeenRequest>, minted: Partial<MintedToken>, want: 'approve' | RegExp]

const rows: Row[] = [
  ['the one that the token is for', {}, {}, 'approve'],
  [
    'with key encipherment, as RSA kubelets ask',
    { usages: ['key encipherment', 'digital signature', 'client auth'] },
    {},
    'approve'
  ],
  ['the same again, after a crash', {}, { csr: 'csr-1' }, 'approve'],
  ['a second request', { name: 'csr-2' }, { csr: 'csr-1' }, /already used/],
  ['after its time', {}, { expiresAt: noon }, /expired/],
  ['another signer', { signerName: 'kubernetes.io/kubelet-serving' }, {}, /the signer is/],
  ['no request', { request: null }, {}, /does not parse/],
  ['another node', subject(organization('system:nodes'), commonName('system:node:n2')), {}, /for system:node:n1 only/],
  ['a prefix of it', subject(organization('system:nodes'), commonName('system:node:n11')), {}, /only/],
  ['an administrator', subject(organization('system:masters'), commonName('system:node:n1')), {}, /groups/],
  [
    'one group more',
    subject(organization('system:nodes'), organization('system:masters'), commonName('system:node:n1')),
    {},
    /groups/
  ],
  ['no group', subject(commonName('system:node:n1')), {}, /groups/],
  ['two names', subject(organization('system:nodes'), commonName('system:node:n1'), commonName('root')), {}, /only/],
  [
    'an attribute more',
    subject(organization('system:nodes'), commonName('system:node:n1'), { name: 'localityName', value: 'x' }),
    {},
    /attributes/
  ],
  ['alternative names', { request: readCertificateRequest(written({ alternativeNames: ['n1'] })) }, {}, /extensions/],
  ['server auth', { usages: ['digital signature', 'server auth'] }, {}, /usages/],
  ['client auth alone', { usages: ['client auth'] }, {}, /usages/],
  ['more than needed', { usages: ['digital signature', 'client auth', 'cert sign'] }, {}, /usages/]
]

t.test('decisions', async t => {
  for (const [name, request, minted, want] of rows) {
    const decision = decideCsr({ ...seen, ...request }, { ...token, ...minted }, noon)
    if (want === 'approve') t.same(decision, { verdict: 'approve', token: 'abcdef' }, name)
    else t.match(decision, { verdict: 'refuse', token: 'abcdef', reason: want }, name)
  }
  t.same(decideCsr(seen, null, noon), { verdict: 'ignore' }, 'a token that is not ours')
  t.same(decideCsr({ ...seen, username: 'system:bootstrap:zzzzzz' }, token, noon), { verdict: 'ignore' })
  t.same(decideCsr({ ...seen, username: 'system:node:n1' }, token, noon), { verdict: 'ignore' }, 'a renewal')
  for (const username of ['', 'system:bootstrap:', 'system:bootstrap:abcdefg', 'system:bootstrap:ABCDEF', 'x']) {
    t.equal(tokenIdOf(username), null, username)
  }
})

t.test('elliptic keys are read as well', async t => {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' })
  const text = certificateRequest(key, { organization: 'system:nodes', commonName: 'system:node:n1' })
  t.match(readCertificateRequest(text), {
    commonNames: ['system:node:n1'],
    organizations: ['system:nodes'],
    extensions: 0
  })
})

t.test('what is no request, or is signed by another key, is null', async t => {
  const good = written()
  const body = Buffer.from(good.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64')
  const wrapped = (bytes: Buffer) =>
    `-----BEGIN CERTIFICATE REQUEST-----\n${bytes.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
  t.not(readCertificateRequest(wrapped(body)), null)
  const tampered = Buffer.from(body)
  const at = tampered.indexOf('system:node:n1')
  tampered.write('system:node:n2', at)
  t.equal(readCertificateRequest(wrapped(tampered)), null, 'a changed name')
  t.equal(readCertificateRequest(wrapped(Buffer.concat([body, Buffer.of(0)]))), null, 'a byte more')
  for (const text of ['', 'x', good.replace('BEGIN', 'END'), good + good, 'A'.repeat(20_000)]) {
    t.equal(readCertificateRequest(text), null)
  }
  const seed = randomBytes(4).readUInt32BE()
  const random = seeded(seed)
  for (let round = 0; round < 500; round++) {
    const bytes = Buffer.from(body.subarray(0, round % 7 === 0 ? Math.floor(random() * body.length) : body.length))
    for (let change = 0; change < 3 && bytes.length > 0; change++) {
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256)
    }
    if (bytes.equals(body)) continue
    // A few bytes are not signed (the algorithm's parameters); no change may yield another name.
    const names = readCertificateRequest(wrapped(bytes))?.commonNames ?? ['system:node:n1']
    t.same(names, ['system:node:n1'], `seed ${seed}, round ${round}`)
  }
})
