// The machines and their MAC addresses. Every function returns the contract's Machine; no row leaves this file.

import type { Hardware, Machine, MachineState } from '../contract/machine.ts'
import { type Mac, parseMac } from '../contract/net.ts'
import { Fault } from '../core/fault.ts'
import { type Claim, type Known, usableUuid } from '../core/identity.ts'
import {
  changesRow,
  hardwareRow,
  type MachineChanges,
  machineFrom,
  type MachineUpdate,
  serialKey,
  switchPortRow
} from './machine-row.ts'
import type { Db } from './schema.ts'
import { inTransaction, unlessTaken } from './transaction.ts'

/** What an identity needs to decide: two that share a value are a conflict already. */
const CANDIDATES_MAX = 10
/** More network ports than any board has; a machine that invents a new address at each boot stops here. */
const MACS_MAX = 32

export interface NewMachine {
  readonly id: string
  readonly macs: readonly Mac[]
  readonly hardware: Hardware
}

export interface MachineFilter {
  readonly state?: MachineState | undefined
  readonly profile?: string | undefined
}

/** Every machine that shares some evidence with the claim, for core/identity to decide among. */
export async function findCandidates(db: Db, claim: Claim): Promise<Known[]> {
  const uuid = usableUuid(claim.uuid)
  const serial = serialKey(claim.serial)
  const ids = new Set<string>()
  const collect = (rows: readonly { id: string }[]): void => rows.forEach(({ id }) => ids.add(id))
  const macs = claim.macs.slice(0, MACS_MAX)
  if (macs.length > 0) {
    collect(await db.selectFrom('macs').select('machine as id').distinct().where('mac', 'in', macs).execute())
  }
  const machines = db.selectFrom('machines').select('id').orderBy('id').limit(CANDIDATES_MAX)
  if (uuid !== null) collect(await machines.where('uuid_key', '=', uuid).execute())
  if (serial !== null) {
    collect(await machines.where('serial_key', '=', serial).where('uuid_key', 'is', null).execute())
  }
  if (ids.size === 0) return []
  const found = await fold(joined(db).where('machines.id', 'in', [...ids]))
  return found.map(({ id, macs, hardware }) => ({ id, macs, uuid: hardware.uuid, serial: hardware.serial }))
}

export async function findMachine(db: Db, id: string): Promise<Machine | null> {
  return first(joined(db).where('machines.id', '=', id))
}

/** Throws a Fault(not_found). */
export async function getMachine(db: Db, id: string): Promise<Machine> {
  const machine = await findMachine(db, id)
  if (machine === null) throw new Fault('not_found', `no machine ${id}`)
  return machine
}

/** By what a person types: its id, its name, or any spelling of one of its MAC addresses, in that order. */
export async function findMachineByRef(db: Db, ref: string): Promise<Machine | null> {
  const byId = await findMachine(db, ref)
  if (byId !== null) return byId
  const byName = await first(joined(db).where('machines.name', '=', ref))
  const mac = parseMac(ref)
  if (byName !== null || mac === null) return byName
  const owner = db.selectFrom('macs as owner').select('owner.machine').where('owner.mac', '=', mac)
  return first(joined(db).where('machines.id', 'in', owner))
}

/** Who has this address: by our own lease, else (another DHCP server) by what the machine last called from. */
export async function findMachineByAddress(db: Db, address: string): Promise<Machine | null> {
  const holder = db
    .selectFrom('leases')
    .innerJoin('macs as holder', 'holder.mac', 'leases.mac')
    .select('holder.machine')
    .where('leases.address', '=', address)
    .where('leases.state', '=', 'bound')
  const byLease = await first(joined(db).where('machines.id', 'in', holder))
  return byLease ?? first(joined(db).where('machines.address', '=', address))
}

export async function listMachines(db: Db, { state, profile }: MachineFilter = {}): Promise<Machine[]> {
  let query = joined(db)
  if (state !== undefined) query = query.where('machines.state', '=', state)
  if (profile !== undefined) query = query.where('machines.profile', '=', profile)
  return fold(query)
}

/** Records a machine as discovered. Null when one of its MACs was recorded meanwhile: look who it is again. */
export async function createMachine(db: Db, machine: NewMachine, now: Date): Promise<Machine | null> {
  const at = now.toISOString()
  return inTransaction(db, async trx => {
    const life = { name: null, state: 'discovered', since: at, reason: null, profile: null, rule: null } as const
    const nowhere = { address: null, ...switchPortRow(null), position: null }
    const rest = { armed: 0, wipe: 0, ...nowhere, version: null, report_seq: 0, updated_at: at }
    const row = { id: machine.id, ...life, ...hardwareRow(machine.hardware), ...rest }
    await trx.insertInto('machines').values(row).execute()
    const wanted = [...new Set(machine.macs)]
    const added = await addMacs(trx, machine.id, wanted)
    if (added.length === wanted.length) return getMachine(trx, machine.id)
    await trx.deleteFrom('machines').where('id', '=', machine.id).execute() // its MACs go with it
    return null
  })
}

/** Adds the addresses that nobody has yet, up to a bound a machine; returns those added. */
export async function addMacs(db: Db, id: string, macs: readonly Mac[]): Promise<string[]> {
  if (macs.length === 0) return []
  const { count } = await db
    .selectFrom('macs')
    .select(eb => eb.fn.countAll<number>().as('count'))
    .where('machine', '=', id)
    .executeTakeFirstOrThrow()
  const rows = macs.slice(0, Math.max(0, MACS_MAX - count)).map(mac => ({ mac, machine: id }))
  if (rows.length === 0) return []
  const insert = db.insertInto('macs').values(rows)
  const added = await insert
    .onConflict(clash => clash.column('mac').doNothing())
    .returning('mac')
    .execute()
  return added.map(({ mac }) => mac)
}

/**
 * Moves a machine only while it is still in state `from`. Null means somebody else moved it first: the caller
 * decided on stale data and must look again. The reason belongs to the state: it is cleared unless given.
 */
export async function moveMachine(
  db: Db,
  id: string,
  from: MachineState,
  to: MachineState,
  changes: MachineChanges,
  now: Date
): Promise<Machine | null> {
  const since = from === to ? {} : { since: now.toISOString(), reason: null }
  return change(db, id, from, { state: to, ...since, ...changesRow(changes) }, now)
}

/** Writes facts that do not depend on the state. Throws a Fault(not_found). */
export async function updateMachine(db: Db, id: string, changes: MachineChanges, now: Date): Promise<Machine> {
  const machine = await change(db, id, null, changesRow(changes), now)
  if (machine === null) throw new Fault('not_found', `no machine ${id}`)
  return machine
}

/** The last journalled step that was put on the timeline; 0 before the first report. */
export async function reportSeq(db: Db, id: string): Promise<number> {
  const row = await db.selectFrom('machines').select('report_seq').where('id', '=', id).executeTakeFirst()
  return row?.report_seq ?? 0
}

/** Raises that number. False when a report that came twice, or crossed another, has already raised it as far. */
export async function raiseReportSeq(db: Db, id: string, seq: number): Promise<boolean> {
  const update = db.updateTable('machines').set({ report_seq: seq }).where('id', '=', id)
  const { numUpdatedRows } = await update.where('report_seq', '<', seq).executeTakeFirst()
  return numUpdatedRows > 0n
}

/** A new installation has a new journal, whose numbers begin again. */
export async function restartReports(db: Db, id: string): Promise<void> {
  await db.updateTable('machines').set({ report_seq: 0 }).where('id', '=', id).execute()
}

async function change(
  db: Db,
  id: string,
  from: MachineState | null,
  set: MachineUpdate,
  now: Date
): Promise<Machine | null> {
  const name = typeof set.name === 'string' ? set.name : 'that'
  const taken = `another machine is already called ${name}; choose another name`
  return inTransaction(db, async trx => {
    let update = trx
      .updateTable('machines')
      .set({ ...set, updated_at: now.toISOString() })
      .where('id', '=', id)
    if (from !== null) update = update.where('state', '=', from)
    const { numUpdatedRows } = await unlessTaken(taken, () => update.executeTakeFirst())
    if (numUpdatedRows === 0n) return null
    if (typeof set.address === 'string') await takeAddress(trx, id, set.address)
    return getMachine(trx, id)
  })
}

/** An address that moved on to another machine no longer says who is calling. */
async function takeAddress(db: Db, id: string, address: string): Promise<void> {
  const others = db.updateTable('machines').set({ address: null }).where('address', '=', address)
  await others.where('id', '!=', id).execute()
}

/** One query for machines and their MACs: what is read belongs together, whatever is written meanwhile. */
function joined(db: Db) {
  const both = db.selectFrom('machines').leftJoin('macs', 'macs.machine', 'machines.id')
  return both.selectAll('machines').select('macs.mac').orderBy('machines.id').orderBy('macs.mac')
}

async function first(query: ReturnType<typeof joined>): Promise<Machine | null> {
  return (await fold(query))[0] ?? null
}

async function fold(query: ReturnType<typeof joined>): Promise<Machine[]> {
  const machines: Machine[] = []
  for (const row of await query.execute()) {
    const last = machines.at(-1)
    if (last?.id === row.id) last.macs.push(row.mac!)
    else machines.push(machineFrom(row, row.mac === null ? [] : [row.mac]))
  }
  return machines
}
