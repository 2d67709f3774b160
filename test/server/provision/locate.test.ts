// Where machines are: the switch port that DHCP saw, on the machine once it is discovered, and the place in the rack that
// documents make of it. On both dialects.

import { randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import t from 'tap'
import type { AnyDocument } from '../../../server/contract/document.ts'
import type { Hardware } from '../../../server/contract/machine.ts'
import type { Mac } from '../../../server/contract/net.ts'
import type { Deps } from '../../../server/provision/deps.ts'
import { meetMachine } from '../../../server/provision/discover.ts'
import { applyDocuments, removeDocument } from '../../../server/provision/documents.ts'
import { noteSwitchPort } from '../../../server/provision/locate.ts'
import { listEvents } from '../../../server/store/events.ts'
import { saveLease } from '../../../server/store/leases.ts'
import { findMachineByRef } from '../../../server/store/machines.ts'
import type { Db } from '../../../server/store/schema.ts'
import {
  findSwitchPort,
  pruneSwitchPorts,
  saveSwitchPort,
  SWITCH_PORTS_MAX
} from '../../../server/store/switch-ports.ts'
import { createBus, type Recorder } from '../../../server/timeline.ts'
import { forEachDialect, later, noon } from '../../helpers/database.ts'

const mac = '52:54:00:00:00:01' as Mac
const storage = '52:54:00:00:00:02' as Mac
const uuid = '4c4c4544-0051-3510-8052-b4c04f4a4d32'
const hardware: Hardware = {
  uuid,
  serial: null,
  manufacturer: 'QEMU',
  product: null,
  asset: null,
  arch: 'x86_64',
  platform: 'uefi'
}

function recorderOf(db: Db, now = noon): Recorder {
  return { db, now: () => now, bus: createBus() }
}

function meet(db: Db, address: Mac = mac) {
  const deps = { ...recorderOf(db), randomBytes } as Deps
  return meetMachine(deps, { mac: address, hardware }, '10.99.0.100')
}

async function apply(db: Db, ...documents: object[]) {
  const api = { apiVersion: 'slipway.dev/v1' }
  const raws = documents.map(document => ({ ...api, ...document }) as AnyDocument)
  return applyDocuments({ db, now: () => noon, documentsChanged: async () => undefined }, raws)
}

const seen = (port: string, of: Mac = mac) => ({ mac: of, switch: 'tor-1', port, relay: '10.99.0.1' })
const machineDocument = (name: string, spec: object) => ({ kind: 'Machine', metadata: { name }, spec })
const moves = async (db: Db, t: Test) => {
  const machine = await findMachineByRef(db, mac)
  t.ok(machine)
  const events = await listEvents(db, { machine: machine!.id, limit: 100 })
  return events.filter(({ type }) => type === 'machine.moved').map(({ message }) => message)
}

forEachDialect(t, 'a machine is discovered where it is plugged in, and moves', async (t, db) => {
  await noteSwitchPort(recorderOf(db), seen('Gi1/0/7'))
  const met = await meet(db)
  t.match(met, { machine: { switchPort: { ...seen('Gi1/0/7'), at: noon.toISOString() }, position: null } })
  const [discovered] = await listEvents(db, { limit: 1 })
  t.match(discovered, { message: 'discovered at switch port tor-1/Gi1/0/7: QEMU', detail: { port: 'Gi1/0/7' } })

  await noteSwitchPort(recorderOf(db, later(5)), seen('Gi1/0/7'))
  t.match(await findMachineByRef(db, mac), { switchPort: { at: noon.toISOString() } }, 'since when it is there')
  await noteSwitchPort(recorderOf(db, later(9)), seen('Gi1/0/8'))
  t.match(await findMachineByRef(db, mac), { switchPort: { port: 'Gi1/0/8', at: later(9).toISOString() } })
  t.same(await moves(db, t), ['it is plugged into tor-1/Gi1/0/8 now; before, it was tor-1/Gi1/0/7'])

  await noteSwitchPort(recorderOf(db), seen('Gi2/0/1', storage))
  t.match(await meet(db, storage), { machine: { switchPort: { port: 'Gi2/0/1' } } }, 'it boots by that now')
  await noteSwitchPort(recorderOf(db), seen('Gi1/0/9'))
  t.match(await findMachineByRef(db, mac), { switchPort: { port: 'Gi2/0/1' } }, 'and its other card moves nothing')
  t.equal((await moves(db, t)).length, 2)
})

forEachDialect(t, 'positions follow the port and the documents', async (t, db) => {
  await noteSwitchPort(recorderOf(db), seen('7'))
  t.match(await meet(db), { machine: { position: null } })
  await apply(db, machineDocument('r1', { switchPort: 'tor-1/7', position: 'row 3 {switch} u{port}' }))
  t.match(await findMachineByRef(db, mac), { position: 'row 3 tor-1 u7' })
  await noteSwitchPort(recorderOf(db), seen('8'))
  t.match(await findMachineByRef(db, mac), { position: null }, 'the document is about the port')
  await apply(db, machineDocument('r1', { uuid, position: 'row 4 {port}' }))
  t.match(await findMachineByRef(db, mac), { position: 'row 4 8' })
  await removeDocument({ db, now: () => noon, documentsChanged: async () => undefined }, 'Machine', 'r1')
  t.match(await findMachineByRef(db, mac), { position: null })
})

const cluster = { kind: 'Cluster', metadata: { name: 'main' }, spec: { endpoint: '10.0.0.9:6443', version: 'v1.35.4' } }
const profile = {
  kind: 'Profile',
  metadata: { name: 'worker' },
  spec: {
    os: { name: 'fedora-coreos', version: '43', assets: 'fcos/43' },
    disks: { install: '/dev/vda' },
    kubernetes: { cluster: 'main', role: 'worker', version: 'v1.35.4', runtime: 'containerd' }
  }
}

forEachDialect(t, 'a rule matches the port and gives a place in the rack', async (t, db) => {
  const rule = {
    kind: 'Rule',
    metadata: { name: 'row3' },
    spec: {
      match: { switchPort: 'tor-1/*' },
      profile: 'worker',
      approve: 'auto',
      name: 'n{number}',
      position: '{switch} port {port}'
    }
  }
  await apply(db, cluster, profile, rule)
  t.match(await meet(db), { machine: { state: 'discovered', rule: null } }, 'its port is not known yet')
  await noteSwitchPort(recorderOf(db), seen('7'))
  const met = await meet(db)
  t.match(met, { machine: { state: 'approved', rule: 'row3', position: 'tor-1 port 7' } })
  await noteSwitchPort(recorderOf(db), { ...seen('1'), switch: 'tor-9' })
  t.match(await findMachineByRef(db, mac), { position: 'tor-9 port 1' }, 'the rule that took it in goes with it')
})

forEachDialect(t, 'documents know machines by each identifier', async (t, db) => {
  await noteSwitchPort(recorderOf(db), seen('7'))
  await saveLease(db, {
    address: '10.99.0.100',
    mac,
    hostname: null,
    grantedAt: noon,
    expiresAt: later(60),
    state: 'bound',
    identifier: 'client id 01:02'
  })
  await apply(db, cluster, profile)
  const specs = [{ clientId: '01:02' }, { switchPort: 'tor-1/7' }, { uuid }, { macs: [mac] }]
  const { machine } = (await meet(db)) as { machine: { id: string } }
  for (const spec of specs) {
    await apply(db, machineDocument('r1', { ...spec, position: JSON.stringify(Object.keys(spec)) }))
    t.match(await findMachineByRef(db, machine.id), { position: JSON.stringify(Object.keys(spec)) })
  }
  await apply(db, machineDocument('r1', { clientId: '01:02', profile: 'worker' }))
  t.match(await meet(db), { machine: { state: 'approved', name: 'r1' } })
})

forEachDialect(t, 'ports of strangers are bounded', async (t, db) => {
  t.equal(await findSwitchPort(db, mac), null)
  for (let i = 0; i < 5; i++) {
    await saveSwitchPort(db, { ...seen(`${i}`), mac: `52:54:00:00:01:0${i}`, at: later(i).toISOString() })
  }
  await pruneSwitchPorts(db, 3)
  t.equal(await findSwitchPort(db, '52:54:00:00:01:01'), null)
  t.match(await findSwitchPort(db, '52:54:00:00:01:02'), { port: '2' })
  t.ok(SWITCH_PORTS_MAX >= 10_000)
})
