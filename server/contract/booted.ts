// What a running installer says of the machine it runs on, by POST /b/<nonce>/booted. Claims, as all that machines say.

import { type Static, Type } from 'typebox'

export const BootedReport = Type.Object(
  {
    platform: Type.Optional(Type.Enum(['bios', 'uefi'])),
    /** Whether firmware verifies what it starts. */
    secureBoot: Type.Optional(Type.Boolean()),
    arch: Type.Optional(Type.Enum(['x86_64', 'arm64'])),
    /** As `uname -r` says it. */
    kernel: Type.Optional(
      Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._+~-]{0,127}$', description: 'a kernel release' })
    )
  },
  { additionalProperties: false }
)
export type BootedReport = Static<typeof BootedReport>
