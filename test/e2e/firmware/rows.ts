// The matrix: which firmware, beside whom, and the chain that the machine's timeline must then tell. A chain is read as
// it happened: what each stage of the boot was given by DHCP, what went out by TFTP, the script, the report.

export type Firmware =
  | 'bios'
  | 'bios-recent-rom'
  | 'uefi'
  | 'uefi-rom'
  | 'uefi-http'
  | 'uefi-https'
  | 'secure'
  | 'secure-http'
  | 'arm64'
  | 'arm64-http'

/** Who else is there: other DHCP servers that own the addresses, or a relay between the machine and us. */
export type Neighbour = 'dnsmasq' | 'kea' | 'relay'

export interface Row {
  readonly name: string
  readonly firmware: Firmware
  readonly mode: 'authoritative' | 'proxy'
  readonly neighbour: Neighbour | null
  /** What stands under `boot` in slipway.yaml. */
  readonly boot?: { readonly loader: 'shim' } | { readonly tls: object }
  readonly chain: readonly string[]
}

const script = 'ipxe: /boot/ipxe'
const report = { bios: 'booted: bios x86_64', uefi: 'booted: uefi x86_64', arm64: 'booted: uefi arm64' }
const bios = ['old-ipxe: undionly.kpxe', 'tftp: undionly.kpxe', script, 'script', report.bios]
const http = ['http: /assets/boot/ipxe.efi', script, 'script', report.uefi]
const uefi = ['pxe: snponly.efi', 'tftp: snponly.efi', script, 'script', report.uefi]
/** In proxy mode each stage takes its address from the neighbour, and nothing of ours but the boot file. */
const beside = (chain: readonly string[]): readonly string[] =>
  chain.flatMap(step => (/^(old-ipxe|ipxe|pxe|http):/.test(step) ? [step, 'address of another server'] : [step]))

export const rows: readonly Row[] = [
  { name: 'BIOS, an old iPXE ROM', firmware: 'bios', mode: 'authoritative', neighbour: null, chain: bios },
  {
    name: 'BIOS, a recent iPXE ROM',
    firmware: 'bios-recent-rom',
    mode: 'authoritative',
    neighbour: null,
    chain: [script, 'script', report.bios]
  },
  { name: 'UEFI PXE', firmware: 'uefi', mode: 'authoritative', neighbour: null, chain: uefi },
  {
    name: 'UEFI, an old iPXE ROM',
    firmware: 'uefi-rom',
    mode: 'authoritative',
    neighbour: null,
    chain: ['old-ipxe: snponly.efi', ...uefi.slice(1)]
  },
  {
    name: 'UEFI HTTP boot',
    firmware: 'uefi-http',
    mode: 'authoritative',
    neighbour: null,
    chain: http
  },
  {
    name: 'UEFI HTTPS boot',
    firmware: 'uefi-https',
    mode: 'authoritative',
    neighbour: null,
    boot: { tls: {} },
    chain: ['http: https /assets/boot/ipxe.efi', 'ipxe: https /boot/ipxe', 'script', report.uefi]
  },
  {
    name: 'Secure Boot by TFTP',
    firmware: 'secure',
    mode: 'authoritative',
    neighbour: null,
    boot: { loader: 'shim' },
    chain: ['pxe: shimx64.efi', 'tftp: shimx64.efi', 'tftp: grubx64.efi', 'script', `${report.uefi}, Secure Boot`]
  },
  {
    name: 'Secure Boot by HTTP',
    firmware: 'secure-http',
    mode: 'authoritative',
    neighbour: null,
    boot: { loader: 'shim' },
    chain: ['http: /assets/boot/shimx64.efi', 'script', `${report.uefi}, Secure Boot`]
  },
  {
    name: 'arm64 PXE',
    firmware: 'arm64',
    mode: 'authoritative',
    neighbour: null,
    chain: ['pxe: ipxe-arm64.efi', 'tftp: ipxe-arm64.efi', script, 'script', report.arm64]
  },
  {
    name: 'arm64 HTTP boot',
    firmware: 'arm64-http',
    mode: 'authoritative',
    neighbour: null,
    chain: ['http: /assets/boot/ipxe-arm64.efi', script, 'script', report.arm64]
  },
  { name: 'BIOS beside dnsmasq', firmware: 'bios', mode: 'proxy', neighbour: 'dnsmasq', chain: beside(bios) },
  { name: 'UEFI PXE beside dnsmasq', firmware: 'uefi', mode: 'proxy', neighbour: 'dnsmasq', chain: beside(uefi) },
  {
    name: 'UEFI HTTP boot beside dnsmasq',
    firmware: 'uefi-http',
    mode: 'proxy',
    neighbour: 'dnsmasq',
    chain: beside(http)
  },
  { name: 'BIOS beside Kea', firmware: 'bios', mode: 'proxy', neighbour: 'kea', chain: beside(bios) },
  { name: 'UEFI PXE beside Kea', firmware: 'uefi', mode: 'proxy', neighbour: 'kea', chain: beside(uefi) },
  { name: 'BIOS through a relay', firmware: 'bios', mode: 'authoritative', neighbour: 'relay', chain: bios },
  { name: 'UEFI PXE through a relay', firmware: 'uefi', mode: 'authoritative', neighbour: 'relay', chain: uefi }
]
