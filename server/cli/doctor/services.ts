// Our own services as a machine would meet them: both planes answer, every boot program comes whole by TFTP and HTTP.

import { createHash } from 'node:crypto'
import type { Services } from '../../contract/api.ts'
import { whyMissing } from '../assets/missing.ts'
import type { Server } from '../connect.ts'
import { Failure } from '../failure.ts'
import { bad, type Finding, note, ok } from './finding.ts'
import { fetchByTftp } from './tftp.ts'

const TIMEOUT_MS = 10_000

export async function examineServices(server: Server): Promise<{ findings: Finding[]; services: Services | null }> {
  const findings: Finding[] = []
  let services: Services
  try {
    services = await server.get<Services>('/api/v1/services')
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return { findings: [bad('control plane', error.message)], services: null }
  }
  findings.push(ok('control plane', `${server.url} answers`))
  const boot = await answers(`${services.boot}/healthz`)
  findings.push(
    boot === null
      ? ok('boot plane', `${services.boot} answers`)
      : bad('boot plane', `${services.boot} does not answer (${boot}); is boot.port open here, boot.url right?`)
  )
  if (services.tftp === null) findings.push(note('TFTP', 'is off'))
  for (const program of services.programs) findings.push(...(await examineProgram(services, program)))
  return { findings, services }
}

async function examineProgram(
  { boot, tftp }: Services,
  { name, size, sha256 }: Services['programs'][number]
): Promise<Finding[]> {
  if (size === null || sha256 === null) {
    return [bad('boot program', `${name} is ${whyMissing(name)}`)]
  }
  const findings = [compare('HTTP', name, sha256, await attempt(() => fetchByHttp(`${boot}/assets/boot/${name}`)))]
  if (tftp !== null) {
    const { hostname } = new URL(boot)
    findings.push(compare('TFTP', name, sha256, await attempt(() => fetchByTftp(hostname, tftp, name, TIMEOUT_MS))))
  }
  return findings
}

function compare(about: string, name: string, sha256: string, got: Buffer | string): Finding {
  if (typeof got === 'string') return bad(about, `${name} does not come: ${got}`)
  const hash = createHash('sha256').update(got).digest('hex')
  return hash === sha256
    ? ok(about, `${name}, ${got.length} bytes`)
    : bad(about, `${name} comes changed: ${got.length} bytes, SHA-256 ${hash}; another server may answer in our place`)
}

/** The bytes, or why not: here a failure is what was asked for. */
async function attempt(work: () => Promise<Buffer>): Promise<Buffer | string> {
  try {
    return await work()
  } catch (error) {
    return reasonOf(error)
  }
}

async function answers(url: string): Promise<string | null> {
  try {
    const reply = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) })
    return reply.ok ? null : `status ${reply.status}`
  } catch (error) {
    return reasonOf(error)
  }
}

async function fetchByHttp(url: string): Promise<Buffer> {
  const reply = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS), redirect: 'error' })
  if (!reply.ok) throw new Error(`status ${reply.status}`)
  return Buffer.from(await reply.arrayBuffer())
}

function reasonOf(error: unknown): string {
  const { cause, message } = error as Error
  return cause instanceof Error && cause.message !== '' ? cause.message : message
}
