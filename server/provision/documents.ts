// Documents are applied together: each checked by itself, all of them with what is there, every profile rendered once.
// Written in one transaction, or refused with every problem.

import { renderConfig } from '../boot/config.ts'
import type { Kind, Profile } from '../contract/document.ts'
import type { Machine } from '../contract/machine.ts'
import { checkDocuments, checkReferences } from '../core/documents.ts'
import { Fault, type Problem } from '../core/fault.ts'
import { deleteDocument, listDocuments, putDocument } from '../store/documents.ts'
import type { Db } from '../store/schema.ts'
import { inTransaction } from '../store/transaction.ts'
import type { Deps } from './deps.ts'
import { placeMachines } from './locate.ts'

export interface Applied {
  readonly kind: Kind
  readonly name: string
  readonly result: 'created' | 'changed' | 'unchanged'
}

/** Throws a Fault(invalid) that carries every problem with its path. */
export async function applyDocuments(
  { db, now, documentsChanged }: Pick<Deps, 'db' | 'now' | 'documentsChanged'>,
  raws: unknown[]
): Promise<Applied[]> {
  const checked = checkDocuments(raws)
  if ('problems' in checked) throw refused(checked.problems)
  const { documents } = checked
  const unrendered = documents.flatMap(document => (document.kind === 'Profile' ? tryRender(document) : []))
  if (unrendered.length > 0) throw refused(unrendered)
  const applied = await inTransaction(db, async trx => {
    const done: Applied[] = []
    for (const document of documents) {
      const result = await putDocument(trx, document, now())
      done.push({ kind: document.kind, name: document.metadata.name, result })
    }
    await requireReferences(trx)
    await placeMachines(trx, now())
    return done
  })
  await documentsChanged()
  return applied
}

/** Throws Fault not_found, or invalid when another document still needs it. */
export async function removeDocument(
  { db, now, documentsChanged }: Pick<Deps, 'db' | 'now' | 'documentsChanged'>,
  kind: Kind,
  name: string
): Promise<void> {
  await inTransaction(db, async trx => {
    if (!(await deleteDocument(trx, kind, name))) throw new Fault('not_found', `no ${kind} ${name}`)
    await requireReferences(trx)
    await placeMachines(trx, now())
  })
  await documentsChanged()
}

/** After the writes and before the commit: what is refused is rolled back. */
async function requireReferences(db: Db): Promise<void> {
  const problems = checkReferences(await listDocuments(db))
  if (problems.length > 0) throw refused(problems)
}

function refused(problems: readonly Problem[]): Fault {
  const list = problems.map(({ path, message }) => `${path}: ${message}`).join('; ')
  return new Fault('invalid', `nothing was applied: ${list}`, { problems })
}

/** A profile that cannot be rendered is refused now, not at three in the morning when a machine boots. */
function tryRender(profile: Profile): Problem[] {
  try {
    renderConfig(sampleMachine(profile), profile, sampleMaterial)
    return []
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    return [{ path: `Profile/${profile.metadata.name}`, message: error.message }]
  }
}

const sampleMaterial = {
  caPem: 'sample\n',
  certificatePem: 'sample\n',
  keyPem: 'sample\n',
  agentUrl: 'http://server.example/agent/x86_64',
  agentSha256: '0'.repeat(64),
  agentSize: 1,
  serverUrl: 'https://server.example',
  bootedUrl: `http://server.example/b/${'0'.repeat(32)}/booted`,
  assetsUrl: 'http://server.example/assets'
}

function sampleMachine(profile: Profile): Machine {
  const nothing = { uuid: null, serial: null, manufacturer: null, product: null, asset: null }
  return {
    id: 'm-aaaaaaaa',
    name: 'sample',
    macs: ['52:54:00:00:00:01'],
    hardware: { ...nothing, arch: 'x86_64', platform: 'uefi' },
    state: 'approved',
    since: '2026-01-01T00:00:00.000Z',
    reason: null,
    next: '',
    profile: profile.metadata.name,
    rule: null,
    armed: true,
    wipe: false,
    address: null,
    switchPort: null,
    position: null,
    version: null,
    updatedAt: '2026-01-01T00:00:00.000Z'
  }
}
