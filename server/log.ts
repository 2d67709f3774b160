// JSON logs, one line a decision: an event name and fields. At the edges only; never a secret.

import { type DestinationStream, pino } from 'pino'

export interface Log {
  readonly debug: (event: string, fields?: object) => void
  readonly info: (event: string, fields?: object) => void
  readonly warn: (event: string, fields?: object) => void
  readonly error: (event: string, fields?: object) => void
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export function createLog(level: LogLevel, stream: DestinationStream): Log {
  const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'event' }, stream)
  return {
    debug: (event, fields = {}) => logger.debug(fields, event),
    info: (event, fields = {}) => logger.info(fields, event),
    warn: (event, fields = {}) => logger.warn(fields, event),
    error: (event, fields = {}) => logger.error(fields, event)
  }
}

/** For tests, and for what must not speak. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} }
