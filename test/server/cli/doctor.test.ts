// The doctor against real sockets: npm's tftp fetches from our server, npm's dhcp hears what is broadcast.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { otherDhcpServers } from '../../../server/cli/doctor/dhcp.ts'
import { diagnose, examineMachine } from '../../../server/cli/doctor/machine.ts'
import { examineServices } from '../../../server/cli/doctor/services.ts'
import type { TimelineEvent } from '../../../server/contract/event.ts'
import { connect } from '../../../server/cli/connect.ts'
import { openKept, openMemory } from '../../../server/data/assets/memory/files.ts'
import { neededPrograms } from '../../../server/dhcp/firmware/programs.ts'
import { buildBootApp } from '../../../server/http/boot-app.ts'
import { buildControlApp } from '../../../server/http/control-app.ts'
import { getMachine, listMachines } from '../../../server/store/machines.ts'
import { openFiles } from '../../../server/http/files.ts'
import { openDgramCarrier } from '../../../server/tftp/dgram/run.ts'
import { startTftp } from '../../../server/tftp/server.ts'
import { noon } from '../../helpers/database.ts'
import { bootUrl, createWorld, fakeAuthority, putDocuments } from '../../helpers/http.ts'

const programs = neededPrograms(['ipxe']).map(({ file }) => file)

async function running(t: Test) {
  const world = await createWorld(t, fakeAuthority())
  await putDocuments(world, 'manual')
  const boot = await buildBootApp(world)
  const control = await buildControlApp(world, null)
  for (const app of [boot, control]) {
    await app.listen({ host: '127.0.0.1', port: 0 })
    t.teardown(() => app.close())
  }
  world.places.boot = `http://127.0.0.1:${(boot.server.address() as AddressInfo).port}`
  const kept = openKept(openFiles(world.data).locate, openMemory())
  const tftp = await startTftp('127.0.0.1', 0, {
    now: world.now,
    read: name => kept(`boot/${name}`),
    failed: error => t.fail(String(error)),
    done: () => {},
    carrier: openDgramCarrier()
  })
  t.teardown(() => tftp.close())
  world.services.tftp = tftp.port
  for (const name of programs) writeFileSync(join(world.data, 'boot', name), `${name} `.repeat(5_000))
  const tokenFile = join(world.data, 'token')
  writeFileSync(tokenFile, 'viewer-token')
  const url = `http://127.0.0.1:${(control.server.address() as AddressInfo).port}`
  return { world, boot, server: await connect({ server: url, tokenFile }) }
}

t.test('our own services', async t => {
  const { world, server } = await running(t)
  const well = await examineServices(server)
  t.same(
    well.findings.filter(({ verdict }) => verdict !== 'ok'),
    []
  )
  t.equal(well.findings.length, 2 + 2 * programs.length, 'both planes; each program by TFTP and HTTP')

  rmSync(join(world.data, 'boot', 'snponly.efi'))
  const lacking = await examineServices(server)
  t.match(
    lacking.findings.filter(({ verdict }) => verdict === 'bad'),
    [{ about: 'boot program', message: /snponly\.efi is missing/ }]
  )
  world.services.tftp = null
  world.places.boot = 'http://127.0.0.1:1'
  const gone = (await examineServices(server)).findings
  t.match(
    gone.find(({ about }) => about === 'boot plane'),
    { verdict: 'bad', message: /ECONNREFUSED|does not answer/ }
  )
  t.match(
    gone.find(({ about }) => about === 'TFTP'),
    { verdict: 'note' }
  )
})

t.test('other DHCP servers', async t => {
  const [serverPort, clientPort] = [await freePort(), await freePort()]
  const finding = otherDhcpServers({ server: serverPort, client: clientPort }, '192.0.2.1', 2)
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  const packets: Array<[port: number, packet: Buffer]> = [
    [clientPort, reply('192.0.2.66')],
    [clientPort, reply('192.0.2.1')],
    [serverPort, request('192.0.2.67')],
    [serverPort, Buffer.from('garbage')],
    [clientPort, Buffer.alloc(300, 1)]
  ]
  const sending = setInterval(() => packets.forEach(([port, packet]) => socket.send(packet, port, '127.0.0.1')), 50)
  const { verdict, message } = await finding
  clearInterval(sending)
  t.equal(verdict, 'bad')
  t.match(message, /^192\.0\.2\.6[67], 192\.0\.2\.6[67] answers here too/, 'both others, and not ourselves')
  t.match(await otherDhcpServers({ server: serverPort, client: clientPort }, '192.0.2.1', 0.3), { verdict: 'ok' })
})

async function freePort(): Promise<number> {
  const socket = createSocket('udp4')
  socket.bind(0, '0.0.0.0')
  await once(socket, 'listening')
  const { port } = socket.address()
  socket.close()
  return port
}

/** RFC 2131 §2: 236 bytes of BOOTP, the magic cookie, options; here with a PAD and an unknown option before the identifier. */
function packet(op: number, type: number, server: string): Buffer {
  const head = Buffer.alloc(236)
  head.set([op, 1, 6, 0])
  head.set([0x52, 0x54, 0, 0, 0, 9], 28)
  const identifier = [54, 4, ...server.split('.').map(Number)]
  return Buffer.concat([head, Buffer.from([99, 130, 83, 99, 0, 53, 1, type, 0, 175, 2, 1, 2, ...identifier, 255])])
}

function reply(server: string): Buffer {
  return packet(2, 2, server)
}

function request(server: string): Buffer {
  return packet(1, 3, server)
}

t.test('one machine', async t => {
  const { world, boot, server } = await running(t)
  t.match(await examineMachine(server, 'nobody'), [{ verdict: 'bad', message: /no machine nobody.*DISCOVER/ }])
  await boot.inject({ url: bootUrl(1) })
  const [machine] = await listMachines(world.db)
  t.match(await examineMachine(server, 'node-1'), [
    { message: 'is discovered: waiting for approval' },
    { message: /came as far as its boot screen/ },
    { message: /what next: approve it/ }
  ])
  const { id } = machine!
  const event = (type: string, level: 'info' | 'warning' = 'info'): TimelineEvent => ({
    id: 1,
    at: noon.toISOString(),
    type,
    machine: id,
    boot: null,
    mac: null,
    level,
    message: `${type} happened`,
    detail: {}
  })
  const rows: Array<[stage: string, said: RegExp]> = [
    ['dhcp.discover', /offered none/],
    ['dhcp.offer', /another DHCP server may have been faster/],
    ['dhcp.ack', /UDP 69/],
    ['tftp.sent', /boot port/],
    ['boot.script', /kernel and initrd/],
    ['config.delivered', /agent did not enrol/],
    ['machine.enrolled', /did not join/]
  ]
  const found = { ...(await getMachine(world.db, id)), state: 'installing' as const }
  for (const [index, [type, said]] of rows.entries()) {
    const events = rows.slice(0, index + 1).map(([each]) => event(each))
    t.match(
      diagnose(found, events)
        .map(({ message }) => message)
        .join('\n'),
      said,
      type
    )
  }
  t.match(diagnose(found, [event('config.alarm', 'warning')]), [{}, { message: /config\.alarm happened/ }, {}])
  t.match(diagnose({ ...found, state: 'ready' }, []), [{ verdict: 'ok' }])
  t.match(diagnose({ ...found, state: 'retired' }, []), [{ verdict: 'ok' }])
})
