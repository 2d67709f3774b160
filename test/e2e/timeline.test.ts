// The timeline tells what happened in the order in which it happened, although a packet's line is written a moment
// after the packet: the whole server, over real sockets on loopback.

import t from 'tap'
import { readConfig } from '../../server/config/files.ts'
import { createLog } from '../../server/log.ts'
import { startServer } from '../../server/serve.ts'
import { requestAddress } from '../lab/dhcp-client.ts'
import { documents } from '../lab/documents.ts'
import { fillFolder, makeFolder, removeFolder } from '../lab/folder.ts'
import { freePorts } from '../lab/ports.ts'
import { createServerApi } from '../lab/server-api.ts'
import { workerQuery } from '../lab/rack/spec.ts'
import { storyOf } from './story.ts'

const MACHINES = 5

t.test('a machine that asks for its script as soon as it has its address', async t => {
  const folder = await makeFolder()
  t.teardown(() => removeFolder(folder))
  const ports = await freePorts()
  await fillFolder(folder, ports)
  const log = createLog('error', process.stderr)
  const server = await startServer(await readConfig(folder.config), { log, page: { host: '127.0.0.1', port: 0 } })
  t.teardown(() => server.close())
  const access = { url: server.urls.page!, token: server.adminToken }
  const api = createServerApi(() => access, AbortSignal.timeout(60_000))
  await api.apply(documents(ports))

  const boot = async (n: number): Promise<void> => {
    const mac = `52:54:00:0e:00:0${n}`
    const uuid = `77a1c0de-0000-4000-8000-00000000000${n}`
    const wanted = { mac, uuid, serverPort: ports.dhcpServer, clientPort: ports.dhcpClient }
    await requestAddress({ ...wanted, asker: 'uefi-pxe' })
    const { bootFile } = await requestAddress({ ...wanted, asker: 'uefi-ipxe' })
    const reply = await fetch(new URL(`/boot/ipxe?${workerQuery(mac, uuid, `ORDER-${n}`)}`, bootFile!))
    t.match(await reply.text(), /^#!ipxe/)
  }
  for (let n = 0; n < MACHINES; n += 1) await boot(n)
  const machines = await api.machines()
  t.equal(machines.length, MACHINES)
  for (const { id } of machines) {
    const story = storyOf(await api.timeline(id))
    t.same(story.slice(0, 3), ['dhcp', 'machine.discovered', 'machine.matched'])
    t.equal(story.lastIndexOf('dhcp'), 0)
  }
})
