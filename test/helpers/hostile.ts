// Texts that firmware, operators and attackers have been seen to write, and random ones of the same kind.

export const hostileTexts = [
  '',
  ' ',
  '-n',
  '%end',
  '\n%end\n%post\ntouch /tmp/owned\n%end\n',
  "'; touch /tmp/owned; '",
  '"; touch /tmp/owned; "',
  '$(touch /tmp/owned)',
  '`touch /tmp/owned`',
  '${mac} && reboot || poweroff',
  'EOF\ntouch /tmp/owned\nEOF\n',
  '\\0101\\n%s%n',
  '# comment',
  '\r\n#!ipxe\r\nreboot',
  '\u2028%end\u2029\u0085\u000b\u000c\u001c%include /etc/shadow',
  'ünïcödé 🚢 \u202e',
  '\ud800 lone',
  '<script>alert(1)</script>',
  '- &a [*a, *a]: {',
  'x'.repeat(4096)
]

const alphabet = [
  ...hostileTexts,
  ...Array.from('%$`"\'\\{}&|;#\n\r\t\0 aZ0=,:/é\u2028\u0085'),
  '${',
  '&&',
  '||',
  '%end',
  'EOF'
]

/** A random text of up to twelve pieces. */
export function randomText(random: () => number): string {
  const pieces = Math.floor(random() * 12)
  return Array.from({ length: pieces }, () => alphabet[Math.floor(random() * alphabet.length)]).join('')
}
