// Text that both dialects store alike. Firmware says what it likes: PostgreSQL refuses NUL in text, and half a
// surrogate pair has no UTF-8 form.

/** The text with NUL and lone surrogates replaced by U+FFFD: what is written is what will be read. */
export function storable(text: string): string {
  const formed = text.isWellFormed() ? text : text.toWellFormed()
  return formed.includes('\0') ? formed.replaceAll('\0', '\ufffd') : formed
}

/** At most `bytesMax` bytes of UTF-8, cut between characters. */
export function cut(text: string, bytesMax: number): string {
  const bytes = Buffer.from(storable(text))
  if (bytes.length <= bytesMax) return storable(text)
  let end = bytesMax
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end -= 1 // a continuation byte: the character began before
  return bytes.toString('utf8', 0, end)
}

/** Hostile text as the store keeps it: null stays null. */
export const TEXT_MAX_BYTES = 4096
export function cutText(text: string | null): string | null {
  return text === null ? null : cut(text, TEXT_MAX_BYTES)
}
