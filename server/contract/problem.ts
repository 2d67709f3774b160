// Errors as RFC 9457 problem documents: they name the field and the remedy.

import { type Static, Type } from 'typebox'

export const Problem = Type.Object({
  type: Type.String(), // about:blank, or a path below the documentation
  title: Type.String(), // the fault's code in words
  status: Type.Integer(),
  detail: Type.String(), // what is wrong and what to do
  errors: Type.Optional(Type.Array(Type.Object({ path: Type.String(), message: Type.String() })))
})
export type Problem = Static<typeof Problem>
