// What a migration is. Apart from the list of them, so that each step and the list do not import each other.

export type DialectName = 'sqlite' | 'postgres'

export interface Migration {
  readonly number: number
  readonly name: string
  /** One statement an item. Plain SQL, so that the text of a released step can be compared for ever. */
  readonly statements: (dialect: DialectName) => readonly string[]
}
