// A fault is an expected failure with a code the caller may act on. Anything else that is
// thrown is a bug: it is logged whole and shown to nobody.

export const statusOf = {
  invalid: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  gone: 410,
  unavailable: 503
} as const

export type FaultCode = keyof typeof statusOf

export class Fault extends Error {
  override readonly name = 'Fault'
  readonly code: FaultCode
  /** Where each problem is, when the input had several. */
  readonly problems: readonly Problem[]

  constructor(code: FaultCode, message: string, options: ErrorOptions & { problems?: readonly Problem[] } = {}) {
    super(message, options)
    this.code = code
    this.problems = options.problems ?? []
  }
}

/** One thing wrong with an input: a path such as spec.os.name or dhcp.subnets[0].pool, and what to do. */
export interface Problem {
  readonly path: string
  readonly message: string
}
