// Text that a POSIX shell reads back byte by byte, and a kickstart section survives: printable ASCII only.
// pykickstart splits sections with str.splitlines(), which also breaks at U+0085, U+2028 and their like, and a
// line that begins with %end closes a section: so nothing foreign may ever stand in a script as it came.

/** One shell word that means exactly this text, whatever it holds. */
export function shellWord(text: string): string {
  if (text.includes('\0')) throw new TypeError('a shell word cannot hold a NUL byte')
  if (/^[A-Za-z0-9_./:=@+,-]+$/.test(text)) return text
  if (/^[ -~]*$/.test(text)) return `'${text.replaceAll("'", `'\\''`)}'`
  if (text.endsWith('\n')) throw new TypeError('a shell word cannot end with a newline: $(…) would drop it')
  return `"$(printf %b '${Array.from(Buffer.from(text, 'utf8'), octal).join('')}')"`
}

function octal(byte: number): string {
  return `\\0${byte.toString(8).padStart(3, '0')}`
}

/** A here-document of base64 lines; its lines are multiples of four characters, so none is EOF or begins with %. */
export function base64Document(text: string): string {
  const lines = Buffer.from(text, 'utf8')
    .toString('base64')
    .match(/.{1,76}/g)
  return ["<<'EOF'", ...(lines ?? []), 'EOF'].join('\n')
}

/** One argument of a kickstart command (they are split by Python's shlex): quoted, foreign bytes become underscores. */
export function commandWord(text: string): string {
  const plain = text.replaceAll(/[^ -~]|["\\]/g, '_')
  return /^[A-Za-z0-9_./:=@+,-]+$/.test(plain) ? plain : `"${plain}"`
}
