// What is asking and what it boots, as rows; the captures of real firmware are in engine.test.ts and captures.test.ts.
// What no firmware here can send (an Intel BIOS PXE, U-Boot, a Raspberry Pi) is put together from what they document.

import t from 'tap'
import { createChains, noChain } from '../../../server/dhcp/firmware/chains.ts'
import { decide } from '../../../server/dhcp/engine.ts'
import { bootFileFor, type BootWay, describeFirmware, findFirmware } from '../../../server/dhcp/firmware/firmware.ts'
import { encodeNested } from '../../../server/dhcp/codec/nested.ts'
import type { Options } from '../../../server/dhcp/codec/options.ts'
import { decodePacket, encodePacket, messageType } from '../../../server/dhcp/codec/packet.ts'
import { bootPrograms, neededPrograms } from '../../../server/dhcp/firmware/programs.ts'
import { contextOf, readRequests } from '../../helpers/dhcp.ts'

const mac = '52:54:00:aa:00:01'
const way: BootWay = { bootUrl: 'http://10.77.0.1:8080', secureUrl: null, loader: 'ipxe', chain: noChain }
const secured: BootWay = { ...way, secureUrl: 'https://10.77.0.1:8444' }
const shim: BootWay = { ...way, loader: 'shim' }
const again: BootWay = { ...way, chain: { secure: false, laps: 2 } }

/** Option 175 with these features, as iPXE sends them: each with its version. */
const features = (...codes: number[]): Buffer => encodeNested(codes.map(code => [code, Buffer.of(1)] as const))
const ipxe = (arch: number, ...codes: number[]): Options => ({
  vendorClass: `PXEClient:Arch:000${arch}:UNDI:002001`,
  clientArch: [arch],
  userClass: Buffer.from('iPXE'),
  ipxe: features(...codes)
})
const pxe = (arch: number): Options => ({ vendorClass: `PXEClient:Arch:000${arch}:UNDI:003016`, clientArch: [arch] })
const http = (arch: number): Options => ({ vendorClass: `HTTPClient:Arch:000${arch}:UNDI:003001`, clientArch: [arch] })

const assets = 'http://10.77.0.1:8080/assets/boot'
const script = 'http://10.77.0.1:8080/boot/ipxe'
const rows: ReadonlyArray<
  readonly [name: string, options: Options, way: BootWay, file: string | RegExp, mac?: string]
> = [
  ['Intel BIOS PXE', { ...pxe(0), vendorClass: 'PXEClient:Arch:00000:UNDI:002001' }, way, 'undionly.kpxe'],
  ['BIOS PXE where shim is wanted: it knows no Secure Boot', pxe(0), shim, 'undionly.kpxe'],
  ['PXE without an architecture', { vendorClass: 'PXEClient' }, way, /no boot program for unknown architecture/],
  ['UEFI x86-64', pxe(7), way, 'snponly.efi'],
  ['UEFI x86-64 as RFC 4578 numbers it', pxe(9), way, 'snponly.efi'],
  ['UEFI x86-64 with shim', pxe(7), shim, 'shimx64.efi'],
  ['UEFI arm64 with shim', pxe(11), shim, 'shimaa64.efi'],
  ['UEFI x86, 32 bits', pxe(6), way, /no boot program for UEFI x86 \(32 bits\)/],
  ['UEFI RISC-V', pxe(27), way, /no boot program for UEFI RISC-V \(64 bits\)/],
  ['an architecture of tomorrow', pxe(99), way, /no boot program for architecture 99/],
  ['HTTP boot', http(16), way, `${assets}/ipxe.efi`],
  ['HTTP boot with shim', http(16), shim, `${assets}/shimx64.efi`],
  ['HTTP boot of arm64', http(19), way, `${assets}/ipxe-arm64.efi`],
  ['HTTP boot of arm64 with shim', http(19), shim, `${assets}/shimaa64.efi`],
  ['HTTP boot by HTTPS', http(16), secured, 'https://10.77.0.1:8444/assets/boot/ipxe.efi'],
  ['HTTP boot of x86, 32 bits', http(15), way, /no boot program for UEFI x86 \(32 bits\)/],
  ['HTTP boot of a BIOS', http(20), way, /no boot program for HTTP boot of BIOS/],
  ['HTTP boot of RISC-V', http(28), secured, /no boot program for UEFI RISC-V/],
  ['PXE while HTTPS is on', pxe(7), secured, 'snponly.efi'],
  ['a recent iPXE', ipxe(0, 0x13, 0x14, 0x18), way, script],
  ['a recent iPXE where shim is wanted goes on', ipxe(7, 0x13, 0x14, 0x24), shim, script],
  ['an old iPXE', ipxe(0, 0x13, 0x18), way, 'undionly.kpxe'],
  ['an old iPXE on UEFI', ipxe(7, 0x13, 0x24), way, 'snponly.efi'],
  ['an old iPXE on UEFI arm64', ipxe(11, 0x13, 0x24), way, 'ipxe-arm64.efi'],
  ['an old iPXE on UEFI where shim is wanted', ipxe(7, 0x13, 0x24), shim, 'shimx64.efi'],
  ['an old iPXE for the third time', ipxe(0, 0x13, 0x18), again, script],
  ['an iPXE without HTTP', ipxe(0, 0x15, 0x18), way, 'undionly.kpxe'],
  ['an iPXE with HTTPS alone: no URL of ours would do', ipxe(7, 0x14, 0x24), way, 'snponly.efi'],
  ['an iPXE without HTTP for the third time', ipxe(0, 0x15, 0x18), again, /has no HTTP, and came back each time/],
  ['iPXE by its user class alone', { ...pxe(7), userClass: Buffer.from('\x04iPXE') }, way, 'snponly.efi'],
  ['iPXE by option 175 alone', { ...pxe(7), ipxe: features(0x13, 0x14) }, way, script],
  [
    'an iPXE that came by HTTPS',
    ipxe(7, 0x13, 0x14),
    { ...secured, chain: { secure: true, laps: 0 } },
    /^https:.*ipxe$/
  ],
  ['an iPXE beside it that did not', ipxe(7, 0x13, 0x14), secured, script],
  ['HTTPS was switched off meanwhile', ipxe(7, 0x13, 0x14), { ...way, chain: { secure: true, laps: 0 } }, script],
  ['U-Boot by its EFI loader', pxe(11), way, 'ipxe-arm64.efi'],
  ['U-Boot by itself', { vendorClass: 'U-Boot.armv8', clientArch: [22] }, way, 'ipxe-arm64.efi'],
  ['U-Boot that says no architecture', { vendorClass: 'U-Boot.armv8' }, way, 'ipxe-arm64.efi'],
  ['U-Boot of 32 bits', { vendorClass: 'U-Boot.armv7', clientArch: [21] }, way, /no boot program for U-Boot arm \(32/],
  ['a Raspberry Pi', pxe(0), way, /put UEFI firmware on its card/, 'dc:a6:32:00:00:01'],
  ['a Raspberry Pi with UEFI firmware', pxe(11), way, 'ipxe-arm64.efi', 'dc:a6:32:00:00:01'],
  ['a Raspberry Pi that says so', pxe(41), way, /put UEFI firmware on its card/]
]

t.test('what each boots', async t => {
  for (const [name, options, given, want, hardware = mac] of rows) {
    const firmware = findFirmware({ mac: hardware, options })
    if (firmware === null) return t.fail(name)
    const boot = bootFileFor(firmware, given)
    const file = boot.by === 'none' ? boot.reason : boot.file
    if (typeof want === 'string') t.same([boot.by === 'none', file], [false, want], name)
    else t.match(file, want, name)
    if (boot.by === 'tftp')
      t.ok(
        bootPrograms.some(one => one.file === file && one.by.includes('tftp')),
        file
      )
  }
})

t.test('in words', async t => {
  const said = (options: Options) => describeFirmware(findFirmware({ mac, options })!)
  t.equal(said(pxe(0)), 'PXE firmware (BIOS)')
  t.equal(said(http(38)), 'HTTP boot firmware (UEFI LoongArch (32 bits))')
  t.equal(said(ipxe(7, 0x13)), 'an old iPXE (UEFI x86-64)')
  t.equal(said({ vendorClass: 'PXEClient' }), 'PXE firmware (unknown architecture)')
})

t.test('a DHCP server for all clients leases an address to each; as a proxy it leaves the rest to others', async t => {
  const base = decodePacket(readRequests().get('OVMF PXE discovers')!)
  const request = { ...base, options: { ...base.options, clientArch: [27] } }
  t.match(decide(request, contextOf()), { kind: 'reply', boot: { by: 'none' }, packet: { yourAddress: '10.77.0.100' } })
  t.match(decide(request, contextOf({ mode: 'proxy' })), { kind: 'silence', warn: true, reason: /RISC-V/ })
})

t.test('shim by PXE: its name is in the header, where it takes the folder of GRUB from', async t => {
  const request = decodePacket(readRequests().get('OVMF PXE discovers')!)
  const decision = decide(request, contextOf({ boot: shim }))
  if (decision.kind !== 'reply') return t.fail('no reply')
  const read = decodePacket(encodePacket(decision.packet))
  t.match(read, { bootFile: 'shimx64.efi', nextServer: '10.77.0.1', options: { bootFileName: 'shimx64.efi' } })
  t.equal(read.options.messageType, messageType.offer)
})

const noon = Date.parse('2026-06-01T12:00:00Z')
const at = (seconds: number): Date => new Date(noon + seconds * 1000)
const old = findFirmware({ mac, options: ipxe(0, 0x13) })!
const program = { by: 'tftp', file: 'undionly.kpxe' } as const

t.test('laps are counted by exchange, and forgotten', async t => {
  const chains = createChains()
  const lap = (xid: number, seconds: number): number => {
    const { laps } = chains.find(mac, xid, at(seconds))
    chains.note(mac, xid, old, program, at(seconds))
    return laps
  }
  t.same([lap(1, 0), lap(1, 1)], [0, 0], 'offer and ACK are one')
  t.same([lap(2, 10), lap(2, 11)], [1, 1], 'the second')
  t.same([lap(3, 20), lap(3, 21)], [2, 2], 'the third has seen two')
  t.equal(chains.find('52:54:00:aa:00:02', 9, at(21)).laps, 0, 'of each machine alone')
  t.equal(lap(4, 200), 0, 'a machine that is switched on later begins anew')
})

t.test('who came by HTTPS is remembered for a while, and never for a flood', async t => {
  const chains = createChains()
  const firmware = findFirmware({ mac, options: http(16) })!
  chains.note(mac, 1, firmware, bootFileFor(firmware, way), at(0))
  t.same(chains.find(mac, 2, at(1)), noChain)
  chains.note(mac, 1, firmware, bootFileFor(firmware, secured), at(0))
  t.equal(chains.find(mac, 2, at(599)).secure, true)
  t.equal(chains.find(mac, 2, at(601)).secure, false)
  for (let n = 0; n < 20_000; n++) chains.note(`x${n}`, 1, old, program, at(1))
  t.equal(chains.find(mac, 2, at(2)).secure, false, 'the oldest go first')
  t.equal(chains.find('x19999', 2, at(2)).laps, 1)
})

t.test('which files are needed', async t => {
  const names = (...loaders: Array<'ipxe' | 'shim'>) => neededPrograms(loaders).map(({ file }) => file)
  t.same(names('ipxe'), ['undionly.kpxe', 'snponly.efi', 'ipxe.efi', 'ipxe-arm64.efi'])
  t.same(names('shim'), ['undionly.kpxe', 'shimx64.efi', 'grubx64.efi', 'shimaa64.efi', 'grubaa64.efi'])
  t.equal(names('ipxe', 'shim').length, 8)
})
