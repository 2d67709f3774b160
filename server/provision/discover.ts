// A machine netboots and says who it is: find it or record it, then let the operator's documents say what it becomes.
// Evidence that points at two machines is never merged; the caller holds the boot and says so.

import type { Rule } from '../contract/document.ts'
import type { NewEvent } from '../contract/event.ts'
import type { Machine } from '../contract/machine.ts'
import { Fault } from '../core/fault.ts'
import { identify } from '../core/identity.ts'
import { matchRule, nameFor } from '../core/rules.ts'
import { nextNumber } from '../store/counters.ts'
import { listDocuments } from '../store/documents.ts'
import {
  addMacs,
  createMachine,
  findCandidates,
  findMachineByRef,
  getMachine,
  updateMachine
} from '../store/machines.ts'
import { countMachines } from '../store/machine-counts.ts'
import type { Db } from '../store/schema.ts'
import { findSwitchPort } from '../store/switch-ports.ts'
import { transact } from '../timeline.ts'
import type { MachineClaim } from './claim.ts'
import type { Deps } from './deps.ts'
import { shortId } from './ids.ts'
import { findFacts, locate, positionOf, showPort } from './locate.ts'
import { move } from './machines.ts'

export type Meeting = { kind: 'machine'; machine: Machine } | { kind: 'conflict'; why: string; ids: readonly string[] }

/** Anybody on the boot network can invent machines: so many may wait for a person, more than any rack delivery. */
const WAITING_MAX = 5_000

type Add = (event: NewEvent) => Promise<void>

/** Records or recognises the machine, and matches it as long as nobody has decided about it. */
export async function meetMachine(deps: Deps, claim: MachineClaim, address: string): Promise<Meeting> {
  return transact(deps, async (db, add) => {
    const { uuid, serial } = claim.hardware
    const evidence = { macs: [claim.mac], uuid, serial }
    const identity = identify(evidence, await findCandidates(db, evidence))
    if (identity.kind === 'conflict') return conflict(claim, address, identity, add)
    const met =
      identity.kind === 'new' ? await discover(deps, db, claim, add) : await recognise(deps, db, identity.id, claim)
    const machine = await locate(deps, db, met, claim.mac, add)
    return { kind: 'machine', machine: machine.state === 'discovered' ? await match(deps, db, machine, add) : machine }
  })
}

async function discover(deps: Deps, db: Db, claim: MachineClaim, add: Add): Promise<Machine> {
  const { mac, hardware } = claim
  const waiting = (await countMachines(db)).find(([state]) => state === 'discovered')
  if ((waiting?.[1] ?? 0) >= WAITING_MAX) {
    throw new Fault('unavailable', `${WAITING_MAX} unknown machines wait already; approve or retire some`)
  }
  const machine = await createMachine(db, { id: shortId('m', deps.randomBytes), macs: [mac], hardware }, deps.now())
  if (machine === null) throw new Fault('unavailable', 'this machine is being recorded by another request; try again')
  const what = [hardware.manufacturer, hardware.product].filter(text => text !== null).join(' ')
  const port = await findSwitchPort(db, mac)
  const where = port === null ? '' : ` at switch port ${showPort(port)}`
  const message = `discovered${where}${what === '' ? '' : `: ${what}`}`
  const detail = { ...hardware, ...(port === null ? {} : { switch: port.switch, port: port.port }) }
  await add({ type: 'machine.discovered', machine: machine.id, mac, message, detail })
  return machine
}

/** Firmware may have been updated, a board exchanged: what it says now is what counts. */
async function recognise({ now }: Deps, db: Db, id: string, { mac, hardware }: MachineClaim): Promise<Machine> {
  await addMacs(db, id, [mac])
  const machine = await getMachine(db, id)
  const same = Object.entries(hardware).every(
    ([key, value]) => machine.hardware[key as keyof typeof hardware] === value
  )
  return same && machine.macs.includes(mac) ? machine : updateMachine(db, id, { hardware }, now())
}

async function conflict(
  { mac }: MachineClaim,
  address: string,
  { ids, why }: { ids: readonly string[]; why: string },
  add: Add
): Promise<Meeting> {
  for (const machine of ids) {
    const message = `a machine at ${address} looks like several that we know: ${why}; it is held`
    await add({ type: 'boot.hold', machine, mac, level: 'warning', message, detail: { address } })
  }
  return { kind: 'conflict', why, ids }
}

/** Fixed facts (a Machine document) speak first, then the rules. Called again at each hold: documents change. */
async function match(deps: Deps, db: Db, machine: Machine, add: Add): Promise<Machine> {
  const facts = await findFacts(db, await listDocuments(db, 'Machine'), machine)
  const profile = facts?.spec.profile
  const rules = await listDocuments(db, 'Rule')
  const position = positionOf(machine, facts, rules)
  const placed = position === machine.position ? {} : { position }
  if (facts !== null && profile !== undefined) {
    const { name } = facts.metadata
    return take(deps, db, machine, { ...placed, profile, name, rule: null, why: 'its Machine document' }, add)
  }
  const rule = matchRule(rules, machine)
  if (rule === null) return position === machine.position ? machine : updateMachine(db, machine.id, placed, deps.now())
  const known = machine.rule === rule.metadata.name && machine.profile === rule.spec.profile
  const name = machine.name ?? facts?.metadata.name ?? (await freeName(db, rule, machine))
  const why = `rule ${rule.metadata.name}`
  if (rule.spec.approve === 'auto') {
    return take(deps, db, machine, { ...placed, profile: rule.spec.profile, name, rule: rule.metadata.name, why }, add)
  }
  if (known) return machine
  const changes = { profile: rule.spec.profile, rule: rule.metadata.name, name, ...placed }
  const message = `${why} matches: profile ${rule.spec.profile}, name ${name}; an operator must approve it`
  await add({ type: 'machine.matched', machine: machine.id, message, detail: changes })
  return updateMachine(db, machine.id, changes, deps.now())
}

interface Taking {
  readonly profile: string
  readonly name: string
  readonly rule: string | null
  readonly position?: string | null
  readonly why: string
}

async function take(deps: Deps, db: Db, machine: Machine, { why, ...changes }: Taking, add: Add): Promise<Machine> {
  const approved = await move(deps, db, machine, 'approve', { ...changes, armed: true, wipe: false })
  const { profile, name } = changes
  await add({
    type: 'machine.matched',
    machine: machine.id,
    message: `${why} matches: profile ${profile}, name ${name}`,
    detail: changes
  })
  await add({
    type: 'machine.approved',
    machine: machine.id,
    message: `approved by ${why}; one installation is armed`,
    detail: { name, profile, by: why }
  })
  return approved
}

/** Two machines may not share a name: the later one carries its id as well. */
async function freeName(db: Db, rule: Rule, machine: Machine): Promise<string> {
  const number = rule.spec.name.includes('{number}') ? await nextNumber(db, `rule/${rule.metadata.name}`) : 0
  const name = nameFor(rule, machine, number)
  const owner = await findMachineByRef(db, name)
  return owner === null || owner.id === machine.id ? name : `${name.slice(0, 52)}-${machine.id}`
}
