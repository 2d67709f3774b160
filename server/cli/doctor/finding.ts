// What the doctor found: ok, bad (with the remedy in the message), or a note of what was left out and why.

export interface Finding {
  readonly verdict: 'ok' | 'bad' | 'note'
  readonly about: string
  readonly message: string
}

export function ok(about: string, message: string): Finding {
  return { verdict: 'ok', about, message }
}

export function bad(about: string, message: string): Finding {
  return { verdict: 'bad', about, message }
}

export function note(about: string, message: string): Finding {
  return { verdict: 'note', about, message }
}
