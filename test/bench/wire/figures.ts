// Repeated measurements: the median, with the range that was seen.

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
  readonly runs: number
}

export interface Row {
  readonly figure: string
  /** Slipway, or the peer with its version. */
  readonly server: string
  readonly unit: string
  readonly value: Spread
  /** What else was seen in these runs: retries, memory, how many did not finish. */
  readonly notes: Readonly<Record<string, number | string>>
}

export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  return { median: sorted[Math.floor(sorted.length / 2)]!, min: sorted[0]!, max: sorted.at(-1)!, runs: sorted.length }
}

export async function repeat<T>(runs: number, once: (run: number) => Promise<T>): Promise<T[]> {
  const seen: T[] = []
  for (let run = 0; run < runs; run++) seen.push(await once(run))
  return seen
}

export function show({ figure, server, unit, value, notes }: Row): string {
  const digits = value.median < 10 ? 2 : value.median < 1_000 ? 1 : 0
  const number = (each: number): string => each.toFixed(digits)
  const range = `${number(value.median)} ${unit} (${number(value.min)} to ${number(value.max)})`
  const more = Object.entries(notes).map(([name, note]) => `${name} ${note}`)
  return `${figure.padEnd(44)} ${server.padEnd(22)} ${range}${more.length === 0 ? '' : `  ${more.join(', ')}`}`
}
