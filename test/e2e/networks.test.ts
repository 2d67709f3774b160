// The whole server on two networks: each machine is sent to the server's address on its own, boots are served there, by
// HTTPS as well, and the address and loader of a document hold from the moment it is applied.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { needs } from '../helpers/require.ts'
import { createWires, plug, seen } from '../helpers/wires.ts'

t.setTimeout(120_000)

const main = join(import.meta.dirname, '..', '..', 'server', 'main.ts')
/** As UEFI asks by PXE and for HTTP boot; as a recent iPXE does: user class, features HTTP and HTTPS. */
const uefi = ['-V', 'PXEClient', '-x', '0x5d:0007']
const httpBoot = ['-V', 'HTTPClient', '-x', '0x5d:0010']
const ipxe = ['-V', 'PXEClient', '-x', '0x4d:69505845', '-x', '0x5d:0000', '-x', '0xaf:130101140101']

t.test('two networks', needs({ root: true, programs: ['ip', 'busybox'] }), async t => {
  const wires = await createWires(t, 'networks')
  const { wire, folder, run, lease } = wires
  await run('ip', 'link', 'add', 'br1', 'type', 'bridge', 'stp_state', '0', 'forward_delay', '0')
  await run('ip', 'addr', 'add', '10.78.0.1/24', 'dev', 'br1')
  await run('ip', 'link', 'set', 'br1', 'up')
  const init = await run(process.execPath, main, 'init', '--interface', 'br1', '--file', '-')
  t.match(init, /interfaces: \[['"]?br1/, 'init finds it before anything is plugged in')
  const file = join(folder, 'slipway.yaml')
  const subnets = ['10.77.0', '10.78.0'].map(net => ({ subnet: `${net}.0/24`, pool: `${net}.100-${net}.109` }))
  const config = {
    data: join(folder, 'data'),
    interfaces: ['br0', 'br1'],
    boot: { tls: {} },
    dhcp: { mode: 'authoritative', subnets }
  }
  writeFileSync(file, JSON.stringify(config))
  const server = wire.start('serve', process.execPath, [main, 'serve', '--config', file], {
    log: join(folder, 'serve.log')
  })
  await seen(server, 'server.started')
  await plug(wires, 'a', 'br0')
  await plug(wires, 'b', 'br1')

  for (const [end, net] of [
    ['a0', '10.77.0'],
    ['b0', '10.78.0']
  ] as const) {
    const given = await lease(end, ...ipxe)
    t.match(given, `ip=${net}.100`)
    t.match(given, `boot_file=http://${net}.1:8080/boot/ipxe`)
    const fetched = `fetch('http://${net}.1:8080/boot/ipxe').then(r => r.text()).then(text => process.stdout.write(text))`
    t.match(await run(process.execPath, '-e', fetched), `http://${net}.1:8080/boot/ipxe?mac=`)
    const tls = `const s = require('tls').connect({ host: '${net}.1', port: 8443,
      ca: require('fs').readFileSync('${folder}/data/ca/ca.crt') }, () => { process.stdout.write('trusted'); s.end() })`
    t.equal(await run(process.execPath, '-e', tls), 'trusted')
    const firmware = tls.replace('8443', '8444').replace('ca.crt', 'firmware.crt')
    t.equal(await run(process.execPath, '-e', firmware), 'trusted', 'by HTTPS too, for firmware')
    t.match(await lease(end, ...httpBoot), `boot_file=https://${net}.1:8444/assets/boot/ipxe.efi`)
    t.match(await lease(end, ...uefi), 'boot_file=snponly.efi')
  }

  const mac = (await run('ip', 'link', 'show', 'b0')).match(/link\/ether ([0-9a-f:]+)/)![1]!
  const document = {
    apiVersion: 'slipway.dev/v1',
    kind: 'Machine',
    metadata: { name: 'r1' },
    spec: { macs: [mac.toUpperCase().replaceAll(':', '-')], address: '10.78.0.7', loader: 'shim' }
  }
  writeFileSync(join(folder, 'r1.yaml'), JSON.stringify(document))
  const env = {
    SLIPWAY_TOKEN_FILE: join(folder, 'data', 'admin.token'),
    SLIPWAY_CA_FILE: join(folder, 'data', 'ca', 'ca.crt')
  }
  const applied = await wire.run(process.execPath, [main, 'apply', '-f', join(folder, 'r1.yaml')], {
    env: { ...env, SLIPWAY_SERVER: 'https://10.77.0.1:8443' }
  })
  t.match(applied, { exitCode: 0 }, applied.stderr)
  t.match(await lease('b0', ...ipxe), 'ip=10.78.0.7')
  t.match(await lease('b0', ...uefi), 'boot_file=shimx64.efi', 'and the loader that it asks for')
  await server.stop()
  const log = readFileSync(join(folder, 'serve.log'), 'utf8')
  t.notMatch(log, /"level":(40|50)/, 'no warning, no error')
})
