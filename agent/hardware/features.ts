// The form that facts about hardware take on their way to labels.

/** Feature or fact by name, without its prefix; what is false or unknown is not there. */
export type Features = Readonly<Record<string, string>>

/** Drops what is null: `{ a: null, b: '1' }` is `{ b: '1' }`. */
export function present(features: Readonly<Record<string, string | null>>): Features {
  return Object.fromEntries(Object.entries(features).filter((pair): pair is [string, string] => pair[1] !== null))
}

export function flag(is: boolean): string | null {
  return is ? 'true' : null
}
