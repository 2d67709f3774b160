// A DHCP lease as the core decides on it and the store keeps it.

export interface Lease {
  readonly address: string
  readonly mac: string
  readonly hostname: string | null
  readonly grantedAt: Date
  readonly expiresAt: Date
  readonly state: 'bound' | 'declined'
}
