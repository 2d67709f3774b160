// Reads what the hardware labels are made of.

export function createHardware(_root: string, _failed: (error: unknown) => void) {
  return async (_signal: AbortSignal): Promise<Readonly<Record<string, string>>> => ({})
}
