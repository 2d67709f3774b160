// Several interfaces on wires of their own: each is answered on itself alone, one packet once. And a bridge that has no
// carrier yet, a relay that reaches us by another way, sockets that somebody else opened.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { passedSockets, requireKnown } from '../../../server/activation.ts'
import { askInterface, openBound, whyNotBound } from '../../../server/dhcp/bound/socket.ts'
import { encodePacket, messageType } from '../../../server/dhcp/codec/packet.ts'
import { needs } from '../../helpers/require.ts'
import { packetOf } from '../../lab/dhcp-client.ts'
import { createWires, plug, seen, udhcpc } from '../../helpers/wires.ts'
import { type Background, createNamespace } from '../../lab/namespace.ts'

const program = join(import.meta.dirname, '..', '..', 'helpers', 'dhcp-program.ts')

t.test('the sockets that systemd passes', async t => {
  const rows: Array<[what: string, env: Record<string, string>, want: Record<string, number>]> = [
    ['none', {}, {}],
    ['one', { LISTEN_PID: '7', LISTEN_FDS: '1', LISTEN_FDNAMES: 'dhcp-eth1' }, { 'dhcp-eth1': 3 }],
    [
      'two',
      { LISTEN_PID: '7', LISTEN_FDS: '2', LISTEN_FDNAMES: 'tftp-eth1:dhcp-eth1' },
      { 'tftp-eth1': 3, 'dhcp-eth1': 4 }
    ],
    ["a parent's", { LISTEN_PID: '6', LISTEN_FDS: '1', LISTEN_FDNAMES: 'dhcp-eth1' }, {}],
    ['no process named', { LISTEN_FDS: '1', LISTEN_FDNAMES: 'dhcp-eth1' }, {}],
    ['too many', { LISTEN_PID: '7', LISTEN_FDS: '99' }, {}],
    ['no number', { LISTEN_PID: '7', LISTEN_FDS: '1e1' }, {}],
    ['no names', { LISTEN_PID: '7', LISTEN_FDS: '1' }, { '': 3 }]
  ]
  for (const [what, env, want] of rows) t.same(Object.fromEntries(passedSockets(env, 7)), want, what)
  t.throws(() => passedSockets({ LISTEN_PID: '7', LISTEN_FDS: '2', LISTEN_FDNAMES: 'a:a' }, 7), {
    code: 'invalid',
    message: /two of the sockets .* "a"/
  })
  requireKnown(new Map([['tftp-eth1', 3]]), ['dhcp', 'tftp'], ['eth0', 'eth1'])
  t.throws(() => requireKnown(new Map([['unknown', 3]]), ['tftp'], ['eth0']), {
    code: 'invalid',
    message: /"unknown" .* must be one of tftp-eth0/
  })
})

t.test('what the kernel knows of an interface', async t => {
  t.match(askInterface('lo'), { up: true, loopback: true, address: '127.0.0.1', netmask: '255.0.0.0' })
  t.equal(askInterface('nope0'), null)
  t.equal(askInterface('a-name-that-is-too-long'), null)
  t.match(whyNotBound('nope0'), /the system refused/)
  t.equal(openBound({ device: 'lo', address: '192.0.2.99', port: 0 }, 'alone'), null, 'an address that is not ours')
})

t.test('two wires', needs({ root: true, programs: ['ip', 'busybox', 'tcpdump'] }), async t => {
  const wires = await createWires(t, 'wires')
  const { wire, run, lease } = wires
  const start = async (name: string, interfaces: string): Promise<Background> => {
    const log = join(wires.folder, `${name}.log`)
    const server = wire.start(name, process.execPath, [program, interfaces], { log })
    await seen(server, 'ready')
    return server
  }
  await run('ip', 'link', 'add', 'br1', 'type', 'bridge', 'stp_state', '0', 'forward_delay', '0')
  await run('ip', 'addr', 'add', '10.78.0.1/24', 'dev', 'br1')

  const down = wire.start('down', process.execPath, [program, 'br1'], { log: join(wires.folder, 'down.log') })
  await down.ended
  t.match(down.output(), /interface br1 is down: ip link set br1 up/)

  await run('ip', 'link', 'set', 'br1', 'up')
  const server = await start('both', 'br0,br1')
  await plug(wires, 'a', 'br0')
  await plug(wires, 'b', 'br1')
  const leaks = wire.start('tcpdump', 'tcpdump', ['-i', 'b0', '-n', '-l', 'udp src port 67'], {
    log: join(wires.folder, 'leaks.log')
  })
  await seen(leaks, 'listening on')
  t.match(await lease('a0'), /^ip=10\.77\.0\.10\d$/m)
  t.equal(count(server, 'discover offer'), 1, 'one packet is answered once')
  t.notMatch(leaks.output(), /BOOTP/, 'and on its own wire')
  t.match(await lease('b0'), /^ip=10\.78\.0\.10\d$/m, 'a bridge that had no carrier at the start')
  t.match(readFileSync(join(wires.folder, 'b0.env'), 'utf8'), /^siaddr=10\.78\.0\.1$|^serverid=10\.78\.0\.1$/m)
  t.equal(count(server, 'discover offer'), 2)
  t.equal(count(server, 'request ack'), 2)
  await leaks.stop()
  await server.stop()

  const one = await start('one', 'br0')
  t.match(await wire.run('busybox', udhcpc('b0', '/bin/true', '1')), { exitCode: 1 }, 'the other wire is not ours')
  t.notMatch(one.output(), /"count"/, 'and not even heard')

  const discover = { ...packetOf({ mac: '52:54:00:00:00:07', asker: 'linux' }) }
  const bytes = (relay: string): string =>
    encodePacket({
      ...discover,
      relay,
      options: { messageType: messageType.discover, ...discover.options }
    }).toString('hex')
  const far = await createNamespace('far', '10.99.0.1')
  t.teardown(() => far.close())
  await run('ip', 'link', 'set', 'b0', 'netns', far.name)
  await run('ip', 'route', 'add', '10.99.0.0/24', 'via', '10.78.0.50')
  for (const args of ['addr add 10.78.0.50/24 dev b0', 'link set b0 up', 'route add default via 10.78.0.1']) {
    t.match(await far.run('ip', args.split(' ')), { exitCode: 0 }, args)
  }
  const relay = async (from: string): Promise<string> =>
    (await far.run(process.execPath, ['-e', ask, '10.77.0.1', bytes(from)])).stdout
  t.equal(await relay('0.0.0.0'), 'silence', 'a client of another network that speaks to our address')
  t.equal(await relay('10.77.0.9'), 'silence', 'a relay of our network that is not on it')
  t.match(await relay('10.99.0.1'), /^answer 10\.99\.0\.10\d$/, 'a distant relay')
  t.equal(count(one, 'any elsewhere'), 2)
  await one.stop()
})

t.test('a socket that somebody else opened', needs({ root: true, programs: ['ip', 'busybox'] }), async t => {
  const wires = await createWires(t, 'wires')
  await plug(wires, 'a', 'br0')
  // As a service manager would: opened and bound to the interface before the server is started.
  const opener = `const { openBound } = await import(${JSON.stringify(join(import.meta.dirname, '../../../server/dhcp/bound/socket.ts'))})
    const { spawn } = await import('node:child_process')
    const open = port => openBound({ device: 'br0', address: '0.0.0.0', port }, 'alone')
    const child = spawn('sh', ['-c', 'LISTEN_PID=$$ exec "$@"', 'sh', process.execPath, ${JSON.stringify(program)}, 'br0'], {
      stdio: ['ignore', 'inherit', 'inherit', open(67), open(4011)],
      env: { ...process.env, LISTEN_FDS: '2', LISTEN_FDNAMES: 'dhcp-br0:proxy-br0' }
    })
    process.once('SIGTERM', () => child.kill())`
  const log = join(wires.folder, 'passed.log')
  const server = wires.wire.start('passed', process.execPath, ['--input-type=module', '-e', opener], { log })
  await seen(server, 'ready')
  t.match(server.output(), /"ready":\{"server":67,"proxy":4011\}/)
  t.match(await wires.lease('a0'), /^ip=10\.77\.0\.10\d$/m)
  await server.stop()
})

/** Sends a message from the relay's own port and prints what comes back. */
const ask = `
  const [address, hex] = process.argv.slice(1)
  const socket = require('node:dgram').createSocket('udp4')
  const end = text => { process.stdout.write(text); socket.close(); clearTimeout(timer) }
  const timer = setTimeout(end, 500, 'silence')
  socket.on('message', bytes => end('answer ' + [...bytes.subarray(16, 20)].join('.')))
  socket.bind(67, '10.99.0.1', () => socket.send(Buffer.from(hex, 'hex'), 67, address))`

function count(server: Background, what: string): number {
  return server.output().split(`"count":"${what}"`).length - 1
}
