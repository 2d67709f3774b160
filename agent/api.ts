// What the agent asks of the server, one function a route of server/contract/agent.ts. Refusals that the loop decides
// on come back as values or as ServerRefused; everything else (network, garbage) is thrown and tried again later.

import type { Desired, EnrolReply, Extension, JoinReply, Report, SlotReply } from '../server/contract/agent.ts'
import type { Credentials, Reply, Transport } from './client.ts'
import type { Ending } from './progress.ts'
import { decodeDesired, decodeEnrolReply, decodeExtension, decodeJoinReply, decodeSlotReply } from './replies.ts'

export class ServerRefused extends Error {
  override readonly name = 'ServerRefused'
  readonly status: number
  readonly retryAfterSeconds: number | null

  constructor(what: string, { status, body, retryAfterSeconds }: Reply) {
    super(`${what}: ${detailOf(body) ?? `the server answered ${status}`}`)
    this.status = status
    this.retryAfterSeconds = retryAfterSeconds
  }
}

export interface ServerApi {
  readonly enrol: (csr: string, boot: Credentials, signal: AbortSignal) => Promise<EnrolReply>
  readonly renew: (csr: string, own: Credentials, signal: AbortSignal) => Promise<EnrolReply>
  readonly desired: (own: Credentials, signal: AbortSignal) => Promise<Desired>
  readonly extension: (version: string, own: Credentials, signal: AbortSignal) => Promise<Extension>
  readonly join: (own: Credentials, signal: AbortSignal) => Promise<JoinReply>
  readonly handOver: (kubeconfig: string, own: Credentials, signal: AbortSignal) => Promise<void>
  readonly report: (report: Report, own: Credentials, signal: AbortSignal) => Promise<void>
  /** Granted, or not now with the reason. */
  readonly askSlot: (target: string, own: Credentials, signal: AbortSignal) => Promise<SlotReply>
  /** Giving back what is not held is fine. */
  readonly returnSlot: (outcome: Ending, own: Credentials, signal: AbortSignal) => Promise<void>
}

const base = '/agent/v1'

export function createServerApi(send: Transport): ServerApi {
  async function ask(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    body: object | null,
    credentials: Credentials,
    signal: AbortSignal
  ): Promise<unknown> {
    const reply = await send(method, `${base}${path}`, body, credentials, signal)
    if (reply.status >= 300) throw new ServerRefused(path.slice(1), reply)
    return reply.body
  }
  return {
    enrol: async (csr, boot, signal) => decodeEnrolReply(await ask('POST', '/enrol', { csr }, boot, signal)),
    renew: async (csr, own, signal) => decodeEnrolReply(await ask('POST', '/renew', { csr }, own, signal)),
    desired: async (own, signal) => decodeDesired(await ask('GET', '/desired', null, own, signal)),
    extension: async (version, own, signal) =>
      decodeExtension(await ask('GET', `/extensions/${version}`, null, own, signal)),
    join: async (own, signal) => decodeJoinReply(await ask('POST', '/join', {}, own, signal)),
    handOver: async (kubeconfig, own, signal) => {
      await ask('POST', '/cluster', { kubeconfig }, own, signal)
    },
    report: async (report, own, signal) => {
      await ask('POST', '/report', report, own, signal)
    },
    askSlot: async (target, own, signal) => {
      const reply = await send('POST', `${base}/slot`, { target }, own, signal)
      if (reply.status < 300) return decodeSlotReply(reply.body)
      if (reply.status !== 409) throw new ServerRefused('slot', reply)
      return { granted: false, reason: reasonOf(reply.body), command: 'node' }
    },
    returnSlot: async (outcome, own, signal) => {
      const reply = await send('DELETE', `${base}/slot`, { outcome }, own, signal)
      if (reply.status >= 300 && reply.status !== 404) throw new ServerRefused('slot', reply)
    }
  }
}

/** The server may send a SlotReply or a problem document with a 409. */
function reasonOf(body: unknown): string {
  const { reason } = (body ?? {}) as { reason?: unknown }
  return typeof reason === 'string' ? reason.slice(0, 512) : (detailOf(body) ?? 'not now')
}

/** The sentence of a problem document (RFC 9457). */
function detailOf(body: unknown): string | null {
  const { detail, title } = (body ?? {}) as { detail?: unknown; title?: unknown }
  const said = typeof detail === 'string' ? detail : title
  return typeof said === 'string' && said !== '' ? said.slice(0, 512) : null
}
