// /boot/grub: the same decisions as /boot/ipxe in GRUB's language, and the HTTP that GRUB's reader of it can read.

import { once } from 'node:events'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { buildBootApp } from '../../../server/http/boot-app.ts'
import { approveMachine } from '../../../server/provision/machines.ts'
import { listMachines } from '../../../server/store/machines.ts'
import { bootUrl, createWorld, fakeAuthority, putDocuments } from '../../helpers/http.ts'

async function plane(t: Test, approve: 'auto' | 'manual') {
  const world = await createWorld(t, fakeAuthority())
  await putDocuments(world, approve)
  const app = await buildBootApp(world)
  t.teardown(() => app.close())
  const get = async (url: string) => app.inject({ url, remoteAddress: '192.0.2.77' })
  const head = async (url: string) => app.inject({ method: 'HEAD', url, remoteAddress: '192.0.2.77' })
  return { world, app, get, head }
}

const grubUrl = bootUrl(1).replace('/boot/ipxe', '/boot/grub')

t.test('from an unknown machine to its installer and its disk', async t => {
  const { world, get, head } = await plane(t, 'manual')
  for (const url of ['/grub/grub.cfg', '/boot/grub', '/assets/boot/grub.cfg', '//grub//grub.cfg']) {
    const entry = await get(url)
    t.match([entry.statusCode, entry.headers['cache-control']], [200, 'no-store'], url)
    t.match(entry.body, "[ -s '(http,192.0.2.1:8080)/boot/grub' ]")
    t.equal((await head(url)).headers['content-length'], String(entry.body.length), 'HEAD says the size')
  }
  const probe = await head(grubUrl)
  t.same(await listMachines(world.db), [], 'nobody is discovered by that, nor by HEAD with a query')

  const held = await get(grubUrl)
  t.match(held.body, /^set slipway_answered=yes\necho 'Slipway: this machine waits: waiting for approval'/)
  t.equal(probe.headers['content-length'], String(held.body.length), 'and the size was that of the answer')
  const [machine] = await listMachines(world.db)
  t.match(machine, { hardware: { serial: 'SN01', manufacturer: 'QEMU', arch: 'x86_64', platform: 'uefi' } })

  await approveMachine(world, machine!.id, {})
  const script = (await get(grubUrl)).body
  t.match(script, "if linux '(http,192.0.2.1:8080)/assets/fcos/vmlinuz' ")
  const config = /'coreos\.inst\.ignition_url=http:\/\/192\.0\.2\.1:8080(\/b\/[0-9a-f]{32}\/ignition\.json)'/.exec(
    script
  )!
  t.equal((await get(config[1]!)).statusCode, 200, 'the config of that boot is served')
  t.match((await get(grubUrl)).body, 'booting from the local disk', 'and no second installation begins')
})

t.test('what shim and GRUB probe for is absent, with a body: shim waits for ever for an empty one (seen)', async t => {
  const { get } = await plane(t, 'auto')
  const probes = ['revocations_sku.efi', 'revocations_sbat.efi', 'shim_certificate_0.efi'].map(f => `/assets/boot/${f}`)
  const lists = ['command', 'fs', 'crypto', 'terminal'].map(name => `/grub/x86_64-efi/${name}.lst`)
  for (const url of [...probes, ...lists]) {
    const reply = await get(url)
    t.equal(reply.statusCode, 404, url)
    t.not(reply.body, '', url)
  }
  t.equal((await get('/boot/grub?uuid=1')).statusCode, 400)
})

t.test('Content-Length is spelled as GRUB compares it', async t => {
  const { app } = await plane(t, 'auto')
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as { port: number }
  for (const method of ['HEAD', 'GET']) {
    for (const path of ['/grub/grub.cfg', grubUrl, '/assets/fcos/vmlinuz', '/assets/boot//snponly.efi']) {
      const socket = connect(port, '127.0.0.1')
      socket.write(`${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
      let text = ''
      socket.setEncoding('latin1').on('data', chunk => (text += chunk))
      await once(socket, 'close')
      t.match(text, /^HTTP\/1\.1 200 [^]*\r\nContent-Length: [1-9][0-9]*\r\n/, `${method} ${path}`)
      t.equal(text.match(/content-length/gi)?.length, 1)
    }
  }
})
