// The target of a request as routes see it. Firmware and shim put paths together by adding strings (`//grub.efi`,
// `/sb//grubx64.efi`, `/./x`); a redirect to the tidy form would end a boot, so they mean the same. Pure.

/**
 * Origin form without empty and `.` segments, the query as it came. `..` stays: it names nothing here. Absolute form
 * (RFC 9112 §3.2.2: a server must take it) loses scheme and host.
 */
export function targetOf(url: string): string {
  const origin = /^https?:\/\/[^/?]*/i.exec(url)?.[0] ?? ''
  const relative = url.slice(origin.length)
  const at = relative.indexOf('?')
  const [path, query] = at === -1 ? [relative, ''] : [relative.slice(0, at), relative.slice(at)]
  const plain = path.replace(/(?:\/\.?)+\//g, '/')
  return (plain === '' ? '/' : plain) + query
}
