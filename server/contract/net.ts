// Addresses as the wire and the API spell them.

export type Mac = string & { readonly __brand: 'Mac' }

/** Accepts the spellings firmware and people use (aa:bb…, aa-bb…, aabb.ccdd…), and returns the one we store. */
export function parseMac(text: string): Mac | null {
  const hex = text.toLowerCase().replaceAll(/[-:.]/g, '')
  return /^[0-9a-f]{12}$/.test(hex) ? (hex.match(/../g)!.join(':') as Mac) : null
}
