// A failure that was to be expected, with a message for the person who can act. The loop tries again later; in an
// upgrade, several in a row of the same step turn it back.

export class Fault extends Error {
  override readonly name = 'Fault'
}
