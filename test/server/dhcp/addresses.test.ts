// An interface whose address changes while the server runs: said once, not answered, and answered again when it is back.

import { join } from 'node:path'
import t from 'tap'
import { readAddresses, watchAddresses } from '../../../server/dhcp/addresses/watch.ts'
import { readInterface } from '../../../server/dhcp/socket.ts'
import { silentLog } from '../../../server/log.ts'
import { now } from '../../helpers/dhcp.ts'
import { needs } from '../../helpers/require.ts'
import { createWires, plug, seen, udhcpc } from '../../helpers/wires.ts'

const program = join(import.meta.dirname, '..', '..', 'helpers', 'dhcp-program.ts')
const own = { name: 'eth1', address: '10.77.0.1', netmask: '255.255.255.0', loopback: false, scope: null }

t.test('an address that goes and comes back', async t => {
  const said: string[] = []
  const log = {
    ...silentLog,
    error: (event: string) => void said.push(event),
    info: (event: string) => void said.push(event)
  }
  let [found, at, looks] = [['10.77.0.1'] as string[] | null, 0, 0]
  const look = () => {
    looks += 1
    return found
  }
  const watch = watchAddresses({ now: () => now, elapsed: () => at, log, look })
  const after = (ms: number, addresses: string[] | null): boolean => {
    at += ms
    found = addresses
    return watch.isOurs(own)
  }
  t.equal(after(0, ['10.77.0.1']), true)
  t.equal(after(100, []), true, 'not looked for again yet')
  t.equal(looks, 1)
  t.equal(after(1000, ['10.77.0.9']), false)
  t.match(watch.notices(), [
    {
      about: 'address',
      message: /eth1 has 10.77.0.9 now and nothing is answered there: give 10.77.0.1 back/,
      since: now.toISOString()
    }
  ])
  t.equal(after(1000, []), false)
  t.equal(after(1000, ['10.77.0.9', '10.77.0.1']), true)
  t.same(watch.notices(), [])
  t.equal(after(1000, null), true, 'a system that does not tell')
  t.same(said, ['dhcp.address-lost', 'dhcp.address-back'])
})

t.test('what the system tells', async t => {
  t.ok(readAddresses('lo')?.includes(readInterface('lo').address))
  t.equal(readAddresses('nope0'), null)
})

t.test('on a wire', needs({ root: true, programs: ['ip', 'busybox'] }), async t => {
  const wires = await createWires(t, 'lost')
  const { wire, run, lease, folder } = wires
  const server = wire.start('server', process.execPath, [program, 'br0'], { log: join(folder, 'server.log') })
  await seen(server, 'ready')
  await plug(wires, 'a', 'br0')
  const answered = async (): Promise<string> => {
    try {
      return await lease('a0')
    } catch (error) {
      throw new Error(`${server.output()}\n${await run('ip', 'addr')}`, { cause: error })
    }
  }
  t.match(await answered(), 'ip=10.77.0.10')
  await run('ip', 'addr', 'add', '10.77.0.2/24', 'dev', 'br0')
  await run('ip', 'addr', 'del', '10.77.0.1/24', 'dev', 'br0')
  await seen(server, 'dhcp.address-lost')
  t.match(await wire.run('busybox', udhcpc('a0', '/bin/true', '1')), { exitCode: 1 }, 'not answered')
  await seen(server, '"count":"any address lost"')
  await run('ip', 'addr', 'add', '10.77.0.1/24', 'dev', 'br0')
  await seen(server, 'dhcp.address-back')
  t.match(await answered(), 'ip=10.77.0.10')
  await server.stop()
})
