// What TFTP reads: the decisions of HTTP for a GRUB that has none, and installers' files in one copy.

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { openKept, openMemory } from '../../../server/data/assets/memory/files.ts'
import { approveMachine } from '../../../server/provision/machines.ts'
import { isMadeForAsker, tftpReader } from '../../../server/provision/tftp.ts'
import { latestBoot } from '../../../server/store/boots.ts'
import { listMachines } from '../../../server/store/machines.ts'
import { bootUrl, createWorld, fakeAuthority, putDocuments } from '../../helpers/http.ts'

const question = `boot/grub?${bootUrl(1).split('?')[1]!}`

t.test('from an unknown machine to its installer', async t => {
  const world = await createWorld(t, fakeAuthority())
  await putDocuments(world, 'manual')
  const asset = openKept(world.artifacts.locate, openMemory())
  const sources = {
    program: (name: string) => asset(`boot/${name}`),
    asset,
    log: world.log
  }
  const read = tftpReader(world, sources, '192.0.2.1')
  const text = async (name: string) => (await read(name, '192.0.2.77'))?.toString() ?? null

  t.equal(await text('snponly.efi'), 'ipxe', 'boot programs as before')
  for (const name of ['grub/grub.cfg', 'grub.cfg'])
    t.match(await text(name), "[ -s '(http,192.0.2.1:8080)/boot/grub' ]")
  t.match(await text(question), 'this machine waits: waiting for approval')
  const [machine] = await listMachines(world.db)
  t.match(machine, { hardware: { serial: 'SN01', platform: 'uefi' } })
  await approveMachine(world, machine!.id, {})
  const script = await text(question)
  t.match(script, "if linux '(tftp,192.0.2.1)/assets/fcos/vmlinuz' ")
  t.match(script, "'coreos.inst.ignition_url=http://192.0.2.1:8080/b/", 'the rest of the installation is by HTTP')
  t.match(await latestBoot(world.db, machine!.id), { state: 'offered', address: '192.0.2.77' })

  t.equal(await text('assets/fcos/vmlinuz'), 'kernel of fcos')
  symlinkSync(join(world.data, 'secret.txt'), join(world.data, 'assets/out'))
  for (const name of ['assets/out', 'assets/.hidden', 'assets/fcos', 'assets/', 'secret.txt', 'boot/snponly.efi']) {
    t.equal(await text(name), null, name)
  }
  t.equal(await text('boot/grub?uuid=1'), null, 'a question without an address')
  t.equal(world.logged.at(-1)?.event, 'tftp.refused')
  t.notMatch(JSON.stringify(world.logged), 'uuid=1', 'what it asked is not repeated')
  for (const name of [question, 'grub/grub.cfg', 'grub.cfg']) t.ok(isMadeForAsker(name), name)
  t.notOk(isMadeForAsker('grubx64.efi'))
})

t.test('one copy for all who read at the same time, and a new one when the file changes', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-memory-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'initrd')
  writeFileSync(path, 'one')
  const read = openMemory()
  const [first, second] = await Promise.all([read(path), read(path)])
  t.equal(first, second)
  t.equal(await read(path), first, 'while somebody holds it')
  writeFileSync(path, 'another')
  t.equal(String(await read(path)), 'another')
  mkdirSync(join(folder, 'sub'))
  t.equal(await read(join(folder, 'sub')), null)
  t.equal(await read(join(folder, 'absent')), null)
})
