// What the API server refuses, as one error: its Status object (meta/v1) in fields that a caller can decide on.
// Network failures and time-outs are not KubeErrors: they keep the error of node:https.

export interface KubeCause {
  readonly reason: string
  readonly message: string
  readonly field: string
}

export class KubeError extends Error {
  override readonly name = 'KubeError'
  /** HTTP status. */
  readonly status: number
  /** Machine word of the Status object: NotFound, Conflict, Expired, Forbidden, TooManyRequests… */
  readonly reason: string
  readonly causes: readonly KubeCause[]
  /** From the Retry-After header or the Status; null when the server gives none (an exhausted disruption budget). */
  readonly retryAfterSeconds: number | null

  constructor(
    status: number,
    reason: string,
    message: string,
    causes: readonly KubeCause[],
    retryAfterSeconds: number | null
  ) {
    super(message)
    this.status = status
    this.reason = reason
    this.causes = causes
    this.retryAfterSeconds = retryAfterSeconds
  }
}

const messageCharactersMax = 2048

/** Reads an error reply. A body that is no Status (a proxy's page, cut short) still gives status and a short text. */
export function kubeErrorOf(status: number, retryAfter: string | undefined, body: string): KubeError {
  const parsed = parseStatus(body)
  const fromHeader = retryAfter !== undefined && /^\d{1,5}$/.test(retryAfter) ? Number(retryAfter) : null
  const { retryAfterSeconds } = parsed?.details ?? {}
  const fromStatus = typeof retryAfterSeconds === 'number' && retryAfterSeconds > 0 ? retryAfterSeconds : null
  const text = parsed?.message ?? `the API server answered ${status}: ${body.slice(0, 200)}`
  return new KubeError(
    status,
    parsed?.reason ?? '',
    text.slice(0, messageCharactersMax),
    (parsed?.details?.causes ?? []).map(cause => ({
      reason: cause.reason ?? '',
      message: cause.message ?? '',
      field: cause.field ?? ''
    })),
    fromHeader ?? fromStatus
  )
}

/** An ERROR event of a watch carries the same Status object. */
export function kubeErrorOfStatus(status: KubeStatus): KubeError {
  return kubeErrorOf(status.code ?? 500, undefined, JSON.stringify(status))
}

export function isKubeError(error: unknown, status: number): error is KubeError {
  return error instanceof KubeError && error.status === status
}

export interface KubeStatus {
  readonly kind?: string
  readonly code?: number
  readonly reason?: string
  readonly message?: string
  readonly details?: {
    readonly retryAfterSeconds?: number
    readonly causes?: ReadonlyArray<{ reason?: string; message?: string; field?: string }>
  }
}

function parseStatus(body: string): KubeStatus | null {
  try {
    const value: unknown = JSON.parse(body)
    if (typeof value !== 'object' || value === null) return null
    const status: KubeStatus = value
    return status.kind === 'Status' ? status : null
  } catch {
    return null // not JSON: the caller shows the text instead
  }
}
