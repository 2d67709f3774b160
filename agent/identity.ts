// Who the agent is towards the server. The key is made here and never leaves the machine; certificate and key lie in
// one file, so that a power cut leaves either the old pair or the new one.
//
//   next-key.pem (0600, on disk) ─► CSR ─► certificate ─► identity.pem (both, in one rename) ─► next-key.pem removed
//
// A cut before the rename finds next-key.pem and asks again with the same key.

import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import type { AgentConfig } from '../server/contract/agent.ts'
import type { ServerApi } from './api.ts'
import type { Credentials } from './client.ts'
import { createCsr } from './csr.ts'
import type { Files } from './files.ts'
import { paths } from './paths.ts'
import { decodeMachineNote, type MachineNote } from './replies.ts'

export interface Identity {
  readonly machine: MachineNote
  readonly credentials: Credentials
  readonly expiresAt: Date
}

export type IdentityState = 'none' | 'expiring' | 'good'

/** The enrolled identity; null before enrolment. An expired certificate is one that cannot be renewed: null too. */
export async function findIdentity(files: Files, config: AgentConfig, now: Date): Promise<Identity | null> {
  const [pem, note] = await Promise.all([files.read(paths.identity), files.read(paths.machine)])
  if (pem === null || note === null) return null
  const expiresAt = new Date(new X509Certificate(pem).validTo)
  if (expiresAt <= now) return null
  const caPem = await authority(files, config)
  return {
    machine: decodeMachineNote(JSON.parse(note)),
    credentials: { caPem, certificatePem: pem, keyPem: pem },
    expiresAt
  }
}

export function stateOf(identity: Identity | null, now: Date): IdentityState {
  if (identity === null) return 'none'
  const leftSeconds = (identity.expiresAt.getTime() - now.getTime()) / 1000
  return leftSeconds < identity.machine.renewBeforeSeconds ? 'expiring' : 'good'
}

/** Exchanges a CSR for the machine certificate: with the boot certificate first, with the machine's own afterwards. */
export async function enrol(
  files: Files,
  config: AgentConfig,
  server: Pick<ServerApi, 'enrol' | 'renew'>,
  current: Identity | null,
  signal: AbortSignal
): Promise<string> {
  const keyPem = await nextKey(files)
  const csr = createCsr(keyPem, current?.machine.id ?? 'slipway-agent')
  const reply =
    current === null
      ? await server.enrol(csr, await bootCredentials(files, config), signal)
      : await server.renew(csr, current.credentials, signal)
  const certificate = new X509Certificate(reply.certificate)
  if (!certificate.checkPrivateKey(createPrivateKey(keyPem))) {
    throw new Error('the certificate that the server sent is not for the key that this machine made')
  }
  const note: MachineNote = { ...reply.machine, renewBeforeSeconds: reply.renewBeforeSeconds }
  await files.write(paths.authority, reply.ca, 0o644)
  await files.write(paths.machine, `${JSON.stringify(note)}\n`, 0o644)
  await files.write(paths.identity, `${reply.certificate.trim()}\n${keyPem}`, 0o600)
  await files.remove(paths.nextKey)
  return `${reply.machine.name} (${reply.machine.id}) until ${certificate.validTo}`
}

/** On disk before anything made with it leaves the machine. */
async function nextKey(files: Files): Promise<string> {
  const kept = await files.read(paths.nextKey)
  if (kept !== null && isKey(kept)) return kept
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' })
  await files.write(paths.nextKey, pem, 0o600)
  return pem
}

function isKey(pem: string): boolean {
  try {
    return createPrivateKey(pem).asymmetricKeyType === 'ec'
  } catch {
    return false // cut short by a full disk: a new one is made
  }
}

async function bootCredentials(files: Files, config: AgentConfig): Promise<Credentials> {
  const [caPem, certificatePem, keyPem] = await Promise.all([
    authority(files, config),
    needed(files, config.bootCertificate),
    needed(files, config.bootKey)
  ])
  return { caPem, certificatePem, keyPem }
}

/** The authority as the server last gave it, else the one this machine was installed with. */
async function authority(files: Files, config: AgentConfig): Promise<string> {
  return (await files.read(paths.authority)) ?? needed(files, config.ca)
}

async function needed(files: Files, path: string): Promise<string> {
  const text = await files.read(path)
  if (text === null) throw new Error(`${path} is missing: install the machine again (slipway install)`)
  return text
}
