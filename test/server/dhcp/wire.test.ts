// On a wire of its own: a namespace with a bridge, the server on it, udhcpc at the other end of a veth pair. The real
// ports, the real broadcast to 255.255.255.255, and router advertisements through node:ffi.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createNamespace, type Background } from '../../lab/namespace.ts'
import { needs } from '../../helpers/require.ts'

const program = join(import.meta.dirname, '..', '..', 'helpers', 'dhcp-program.ts')

t.test('udhcpc on a bridge', needs({ root: true, programs: ['ip', 'busybox', 'tcpdump'] }), async t => {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-wire-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const wire = await createNamespace('wire', '10.77.0.1')
  t.teardown(() => wire.close())
  const run = async (file: string, ...args: string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await wire.run(file, args)
    if (exitCode !== 0) throw new Error(`${file} ${args.join(' ')}: ${stdout}${stderr}`)
    return stdout + stderr
  }
  await run('ip', 'link', 'add', 'c0', 'type', 'veth', 'peer', 'name', 'c1')
  await run('ip', 'link', 'set', 'c1', 'master', 'br0')
  for (const name of ['c0', 'c1', 'br0']) await run('ip', 'link', 'set', name, 'up')
  await run('ip', 'address', 'add', 'fe80::77/64', 'dev', 'br0', 'nodad')

  const script = join(folder, 'bound')
  writeFileSync(script, `#!/bin/sh\n[ "$1" = bound ] && env > ${folder}/bound.env\nexit 0\n`, { mode: 0o755 })
  const lease = async (...more: string[]): Promise<string> => {
    await run('busybox', 'udhcpc', '-i', 'c0', '-n', '-q', '-f', '-t', '5', '-T', '1', '-s', script, ...more)
    return readFileSync(join(folder, 'bound.env'), 'utf8')
  }
  const start = async (mode: string): Promise<Background> => {
    const log = join(folder, `${mode}.log`)
    const server = wire.start(mode, process.execPath, [program, 'br0', mode], { log })
    await seen(server, 'ready')
    return server
  }

  const server = await start('authoritative')
  const plain = await lease('-x', 'hostname:n01')
  t.match(plain, /^ip=10\.77\.0\.10\d$/m)
  t.match(plain, /^router=10\.77\.0\.254$/m)
  t.match(plain, /^domain=rack\.example$/m)
  t.match(plain, /^lease=3600$/m)
  t.match(server.output(), /"lease":\{"address":"10\.77\.0\.10\d","mac":"[0-9a-f:]+","hostname":"n01"/)

  const capture = ['-i', 'c0', '-n', '-l', '-v', 'icmp6 and ip6[40] = 134 or udp port 68']
  const advertised = wire.start('tcpdump', 'tcpdump', capture, { log: join(folder, 'tcpdump.log') })
  await seen(advertised, 'listening on')
  // As a recent iPXE asks: user class, architecture, features HTTP and HTTPS.
  const ipxe = ['-V', 'PXEClient', '-x', '0x4d:69505845', '-x', '0x5d:0000', '-x', '0xaf:130101140101']
  const boot = await lease(...ipxe)
  t.match(boot, /^boot_file=http:\/\/10\.77\.0\.1:8080\/boot\/ipxe$/m)
  t.match(boot, /^siaddr=10\.77\.0\.1$/m)
  await seen(advertised, 'router advertisement')
  await seen(advertised, 'router lifetime 0s')
  t.match(advertised.output(), /hlim 255/)
  await advertised.stop()
  await server.stop()

  const silent = await start('silent')
  const heard = wire.start('tcpdump-2', 'tcpdump', capture, { log: join(folder, 'tcpdump-2.log') })
  await seen(heard, 'listening on')
  await lease(...ipxe)
  await seen(heard, 'DHCP-Message (53), length 1: ACK')
  t.notMatch(heard.output(), /router advertisement/, 'dhcp.advertise: false')
  await silent.stop()

  const proxy = await start('proxy')
  t.match(
    await wire.run('busybox', [
      'udhcpc',
      '-i',
      'c0',
      '-n',
      '-q',
      '-f',
      '-t',
      '1',
      '-T',
      '1',
      '-s',
      script,
      '-V',
      'PXEClient',
      '-x',
      '0x5d:0007'
    ]),
    { exitCode: 1 },
    'a proxy leases nothing'
  )
  await seen(proxy, 'snponly.efi by TFTP')
  await proxy.stop()
})

/** Waits until a program has written that; a program that does not ends the test by its time-out. */
async function seen(background: Background, text: string): Promise<void> {
  const until = performance.now() + 10_000
  while (!background.output().includes(text)) {
    if (performance.now() > until) throw new Error(`${background.name} did not write ${text}: ${background.output()}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}
