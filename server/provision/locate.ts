// Where a machine is: the switch port that a relay named when it took an address, and the place in the rack that a
// document or rule makes of it. DHCP sees a hardware address before anybody knows whose it is, so ports are kept by it.

import type { MachineFacts, Rule } from '../contract/document.ts'
import type { NewEvent } from '../contract/event.ts'
import type { Machine, SwitchPort } from '../contract/machine.ts'
import { keysOf, keysOfMachine } from '../core/identifiers.ts'
import { matchRule, positionFor } from '../core/rules.ts'
import { listDocuments } from '../store/documents.ts'
import { listLeaseIdentifiers } from '../store/leases.ts'
import { findMachineByRef, listMachines, updateMachine } from '../store/machines.ts'
import type { Db } from '../store/schema.ts'
import { findSwitchPort, saveSwitchPort } from '../store/switch-ports.ts'
import { type Recorder, transact } from '../timeline.ts'

type Add = (event: NewEvent) => Promise<void>

/**
 * DHCP saw this address at a port where it was not before. Of a machine with several, the one that it booted by last
 * says where the machine is: a storage network's port is another.
 */
export async function noteSwitchPort(recorder: Recorder, seen: Omit<SwitchPort, 'at'>): Promise<void> {
  const { now } = recorder
  await transact(recorder, async (db, add) => {
    const known = await findSwitchPort(db, seen.mac)
    if (known !== null && isSame(known, seen)) return
    const port = { ...seen, at: now().toISOString() }
    await saveSwitchPort(db, port)
    const machine = await findMachineByRef(db, seen.mac)
    if (machine === null) return
    if (machine.switchPort === null || machine.switchPort.mac === seen.mac)
      await moveTo(recorder, db, machine, port, add)
  })
}

/** The machine boots by this address: where that is plugged in, it stands. */
export async function locate(recorder: Recorder, db: Db, machine: Machine, mac: string, add: Add): Promise<Machine> {
  const port = await findSwitchPort(db, mac)
  if (port === null || (machine.switchPort !== null && isSame(machine.switchPort, port))) return machine
  return moveTo(recorder, db, machine, port, add)
}

async function moveTo({ now }: Recorder, db: Db, machine: Machine, port: SwitchPort, add: Add): Promise<Machine> {
  const former = machine.switchPort
  const [rules, documents] = [await listDocuments(db, 'Rule'), await listDocuments(db, 'Machine')]
  const there = { ...machine, switchPort: port }
  const position = positionOf(there, await findFacts(db, documents, there), rules)
  const moved = await updateMachine(db, machine.id, { switchPort: port, position }, now())
  if (former === null || showPort(former) === showPort(port)) return moved
  const message = `it is plugged into ${showPort(port)} now; before, it was ${showPort(former)}`
  const detail = { switch: port.switch, port: port.port, relay: port.relay, from: showPort(former), position }
  await add({ type: 'machine.moved', machine: machine.id, mac: port.mac, message, detail })
  return moved
}

/** After documents were applied or removed: positions follow them. */
export async function placeMachines(db: Db, now: Date): Promise<void> {
  const [rules, documents] = [await listDocuments(db, 'Rule'), await listDocuments(db, 'Machine')]
  const placing = [...rules, ...documents].some(({ spec }) => spec.position !== undefined)
  for (const machine of await listMachines(db)) {
    if (!placing && machine.position === null) continue
    const position = positionOf(machine, await findFacts(db, documents, machine), rules)
    if (position !== machine.position) await updateMachine(db, machine.id, { position }, now)
  }
}

/** The document that is about this machine, by its strongest identifier; null when none is. */
export async function findFacts(
  db: Db,
  documents: readonly MachineFacts[],
  machine: Machine
): Promise<MachineFacts | null> {
  if (documents.length === 0) return null
  const byKey = new Map(documents.flatMap(document => keysOf(document.spec).map(key => [key, document] as const)))
  const keys = keysOfMachine(machine)
  const found = keys.find(key => byKey.has(key))
  if (found !== undefined) return byKey.get(found)!
  // Client identifiers are shown to DHCP alone; its leases remember those that a document named.
  if (documents.every(({ spec }) => spec.clientId === undefined)) return null
  const told = await listLeaseIdentifiers(db, machine.macs)
  return told.flatMap(key => byKey.get(key) ?? [])[0] ?? null
}

/** By its document, else by the rule that it was taken in by, or that matches it. */
export function positionOf(machine: Machine, facts: MachineFacts | null, rules: readonly Rule[]): string | null {
  const rule = rules.find(({ metadata }) => metadata.name === machine.rule) ?? matchRule(rules, machine)
  const pattern = facts?.spec.position ?? rule?.spec.position
  return pattern === undefined ? null : positionFor(pattern, machine.switchPort)
}

export function showPort({ switch: name, port }: Pick<SwitchPort, 'switch' | 'port'>): string {
  return `${name}/${port}`
}

function isSame(a: Omit<SwitchPort, 'at'>, b: Omit<SwitchPort, 'at'>): boolean {
  return a.switch === b.switch && a.port === b.port && a.relay === b.relay && a.mac === b.mac
}
