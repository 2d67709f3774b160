// The boot plane by HTTPS, for firmware that trusts our authority: what OVMF and iPXE offer (seen: TLS 1.2, RSA
// certificates, without elliptic curves) as openssl's client offers it, and downloads with curl.

import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { checkConfig } from '../../../server/config/config.ts'
import { replaceCertificate } from '../../../server/http/app.ts'
import { buildBootApp } from '../../../server/http/boot-app.ts'
import { firmwareIdentity } from '../../../server/identity.ts'
import { openAuthority } from '../../../server/pki/authority.ts'
import { openFirmwareAuthority } from '../../../server/pki/firmware/authority.ts'
import { bootUrl, createWorld, fakeAuthority, putDocuments } from '../../helpers/http.ts'
import { needs } from '../../helpers/require.ts'

const run = promisify(execFile)
const reached = { addresses: ['127.0.0.1'], hostname: 'slipway' }

async function plane(t: Test, began = new Date()) {
  const data = t.testdir()
  const checked = checkConfig({ data, interfaces: ['lo'], boot: { tls: { port: 0 } } })
  if ('problems' in checked) throw new Error(checked.problems[0]!.message)
  const identity = (await firmwareIdentity(checked.config, reached, () => began))!
  const made = await createWorld(t, fakeAuthority())
  await putDocuments(made, 'auto')
  const urls = { ...made.urls, secureBoot: () => 'https://192.0.2.1:8444' }
  const world = { ...made, urls, firmwareCa: identity.caPem }
  const app = await buildBootApp(world, {}, identity.tls)
  t.teardown(() => app.close())
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as { port: number }
  const ca = join(data, 'ca', 'firmware.crt')
  return { data, world, identity, app, port, ca }
}

t.test('an authority of its own, RSA through and through', needs({ programs: ['openssl'] }), async t => {
  const { data, identity, ca } = await plane(t)
  t.same(readdirSync(join(data, 'ca')).toSorted(), ['firmware.crt', 'firmware.key'])
  t.equal(statSync(join(data, 'ca', 'firmware.key')).mode & 0o777, 0o600)
  const root = new X509Certificate(identity.caPem)
  const leaf = new X509Certificate(identity.tls.cert)
  for (const one of [root, leaf]) t.equal(one.publicKey.asymmetricKeyType, 'rsa')
  t.match(
    [root.publicKey.asymmetricKeyDetails, leaf.publicKey.asymmetricKeyDetails],
    [{ modulusLength: 3072 }, { modulusLength: 2048 }]
  )
  t.match(leaf.subjectAltName, 'IP Address:127.0.0.1')
  const days = (one: X509Certificate) => (one.validToDate.getTime() - one.validFromDate.getTime()) / 86_400_000
  t.same([days(root), days(leaf)].map(Math.round), [3651, 397])
  writeFileSync(join(data, 'leaf.pem'), identity.tls.cert)
  const { stdout } = await run('openssl', [
    'verify',
    '-x509_strict',
    '-purpose',
    'sslserver',
    '-CAfile',
    ca,
    join(data, 'leaf.pem')
  ])
  t.match(stdout, /: OK/)
  const text = (await run('openssl', ['x509', '-in', join(data, 'leaf.pem'), '-noout', '-ext', 'keyUsage'])).stdout
  t.match(text, 'Digital Signature, Key Encipherment')
  t.equal((await openFirmwareAuthority(join(data, 'ca'), { now: () => new Date() })).caPem, identity.caPem, 'kept')
  await openAuthority(join(data, 'ca'), { now: () => new Date() })
  t.same(readdirSync(join(data, 'ca')).toSorted(), ['ca.crt', 'ca.key', 'firmware.crt', 'firmware.key'])
})

t.test('off unless it is configured', async t => {
  const checked = checkConfig({ data: t.testdir(), interfaces: ['lo'] })
  if ('problems' in checked) throw new Error('the smallest configuration is refused')
  t.equal(await firmwareIdentity(checked.config, reached, () => new Date()), null)
  const app = await buildBootApp(await createWorld(t, fakeAuthority()))
  t.equal((await app.inject('/boot/firmware-ca.crt')).statusCode, 404)
})

/** As OVMF, as firmware without any ephemeral key, as iPXE, as a later firmware; and what nobody should be given. */
const clients: ReadonlyArray<readonly [name: string, args: readonly string[], cipher: string | null]> = [
  ['DHE', ['-tls1_2', '-cipher', 'DHE-RSA-AES256-SHA256:DHE-RSA-AES128-SHA256'], 'DHE-RSA-AES128-SHA256'],
  ['RSA key exchange', ['-tls1_2', '-cipher', 'AES256-SHA256:AES128-SHA256'], 'AES128-SHA256'],
  ['RSA key exchange, GCM', ['-tls1_2', '-cipher', 'AES256-GCM-SHA384'], 'AES256-GCM-SHA384'],
  ['ECDHE', ['-tls1_2', '-cipher', 'ECDHE-RSA-AES256-GCM-SHA384'], 'ECDHE-RSA-AES256-GCM-SHA384'],
  ['TLS 1.3', ['-tls1_3'], 'TLS_AES_128_GCM_SHA256'],
  ['TLS 1.1', ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'], null],
  ['no encryption', ['-tls1_2', '-cipher', 'eNULL:@SECLEVEL=0'], null],
  ['no certificate', ['-tls1_2', '-cipher', 'aNULL:@SECLEVEL=0'], null]
]

t.test('what firmware offers', needs({ programs: ['openssl'] }), async t => {
  const { port, ca } = await plane(t)
  for (const [name, args, cipher] of clients) {
    const dialled = [
      's_client',
      '-connect',
      `127.0.0.1:${port}`,
      '-noservername',
      '-CAfile',
      ca,
      '-verify_return_error'
    ]
    const child = run('openssl', [...dialled, ...args], { timeout: 20_000 })
    child.child.stdin?.end()
    const { stdout, failed } = await child.then(
      ({ stdout }) => ({ stdout, failed: false }),
      () => ({ stdout: '', failed: true })
    )
    t.equal(failed, cipher === null, name)
    if (cipher === null) continue
    t.match(stdout, `Cipher is ${cipher}`, name)
    t.match(stdout, 'Verify return code: 0 (ok)', name)
    t.match(stdout, 'No client certificate CA names sent', `${name}: firmware is asked for no certificate`)
  }
})

t.test('the same answers, and what is loaded next comes the same way', needs({ programs: ['curl'] }), async t => {
  const { port, ca, world, identity } = await plane(t)
  const large = Buffer.alloc(20 * 1024 * 1024, 'kernel ')
  writeFileSync(join(world.data, 'assets/fcos/large'), large)
  const origin = `https://127.0.0.1:${port}`
  const options = { encoding: 'buffer', maxBuffer: 64 * 1024 * 1024 } as const
  const get = async (path: string, ...args: string[]) =>
    (await run('curl', ['-sS', '--fail', '--noproxy', '*', '--cacert', ca, ...args, `${origin}${path}`], options))
      .stdout
  t.ok((await get('/assets/fcos/large')).equals(large))
  t.ok(
    (await get('/assets/fcos/large', '--tls-max', '1.2', '--ciphers', 'AES128-SHA256', '-r', '5-9')).equals(
      large.subarray(5, 10)
    )
  )
  t.match(String(await get('/assets/boot//snponly.efi', '-I')), /Content-Length: 4\r/)
  t.equal(String(await get('/boot/firmware-ca.crt')), identity.caPem)
  t.match(String(await get('/boot/ipxe')), 'chain --replace --autofree https://192.0.2.1:8444/boot/ipxe?mac=')
  const script = String(await get(bootUrl(1)))
  t.match(script, 'kernel https://192.0.2.1:8444/assets/fcos/vmlinuz ')
  t.match(script, 'ignition_url=http://192.0.2.1:8080/b/', 'an installer does not trust what its firmware trusts')
  t.match(String(await get('/grub/grub.cfg')), "[ -s '(https,192.0.2.1:8444)/boot/grub' ]")
})

t.test('renewed for the connections from then on', needs({ programs: ['curl'] }), async t => {
  const day = 86_400_000
  const { port, ca, identity, app } = await plane(t, new Date(Date.now() - 300 * day))
  t.equal(identity.renewed(identity.tls, new Date(Date.now() - 200 * day)), null, 'not before its time')
  const renewed = identity.renewed(identity.tls, new Date())!
  replaceCertificate(app, renewed)
  const suite = ['--ciphers', 'DHE-RSA-AES128-SHA256', '--tls-max', '1.2']
  const url = `https://127.0.0.1:${port}/healthz`
  const { stderr } = await run('curl', ['-sSv', '--noproxy', '*', '--cacert', ca, ...suite, url])
  const end = /expire date: (.*)/.exec(stderr)![1]!
  t.equal(new Date(end).getTime(), new X509Certificate(renewed.cert).validToDate.getTime())
})
