// JSON lines for the journal of systemd: an event name and fields. No levels to configure and no library, since the
// agent must print its first line within milliseconds. Never a secret.

export interface Log {
  readonly info: (event: string, fields?: object) => void
  readonly warn: (event: string, fields?: object) => void
}

export function createLog(write: (line: string) => void, now: () => Date): Log {
  const line = (level: string) => (event: string, fields?: object) =>
    write(`${JSON.stringify({ level, time: now().toISOString(), event, ...fields })}\n`)
  return { info: line('info'), warn: line('warn') }
}

export const silentLog: Log = { info() {}, warn() {} }
