// Every DHCP message of the captures of real firmware, when they are there: each reads the same after writing, and the
// whole of each capture is answered as it must be for the machine to boot. The few that matter most are fixtures, so this
// only widens engine.test.ts.

import { existsSync, globSync } from 'node:fs'
import { basename, join } from 'node:path'
import t from 'tap'
import { decide } from '../../../server/dhcp/engine.ts'
import { findFirmware } from '../../../server/dhcp/firmware/firmware.ts'
import { decodePacket, encodePacket, messageName } from '../../../server/dhcp/codec/packet.ts'
import { decode, encode } from '../../../server/tftp/packet.ts'
import { contextOf } from '../../helpers/dhcp.ts'
import { type Datagram, readDatagrams } from '../../helpers/pcap.ts'

const folder = join(import.meta.dirname, '..', '..', '..', '..', 'shared', 'pcaps')
const skip = existsSync(folder) ? false : 'the captures are not at hand; their requests are tested as fixtures'

/** Boot files in the order in which the stages of a machine would get them from us, without repeats. */
const chains: Record<string, string[]> = {
  'bios-rom-': ['undionly.kpxe'], // its own stages are all the ROM's: the server of the capture never chained
  'bios-undionly2025': ['undionly.kpxe', 'script'],
  'uefi-pxe-snponly2025': ['snponly.efi', 'script'],
  'uefi-https': ['http', 'script'],
  'arm64-pxe-ipxe': ['ipxe-arm64.efi', 'script'],
  'arm64-http': ['http', 'script']
}

t.test('captures', { skip }, async t => {
  for (const path of globSync(join(folder, '*.pcap')).toSorted()) {
    const name = basename(path)
    const datagrams = readDatagrams(path)
    t.test(name, async t => {
      const files = new Set<string>()
      for (const { bytes } of datagrams.filter(isDhcp)) {
        const packet = decodePacket(bytes)
        t.same(decodePacket(encodePacket(packet)), packet)
        if (packet.op === 'reply') continue
        const decision = decide(packet, contextOf())
        const type = messageName(packet)
        if (type === 'discover') t.equal(decision.kind, 'reply', 'every DISCOVER is answered')
        if (decision.kind === 'reply' && decision.boot !== null) files.add(nameOf(decision.boot))
        const proxied = decide(packet, contextOf({ mode: 'proxy', subnet: null }))
        const boots = findFirmware(packet) !== null
        t.equal(proxied.kind, type === 'discover' && boots ? 'reply' : 'silence')
      }
      const chain = Object.keys(chains).find(start => name.startsWith(start))
      if (chain !== undefined) t.same([...files], chains[chain])
      for (const { bytes } of datagrams.filter(({ to }) => to.port === 69)) {
        const request = decode(bytes)
        t.equal(request?.op, 'rrq')
        t.same(decode(encode(request!)), request)
      }
    })
  }
})

function isDhcp({ to }: Datagram): boolean {
  return [67, 68, 4011].includes(to.port)
}

function nameOf(boot: { by: string; file?: string }): string {
  return boot.by === 'tftp' ? boot.file! : boot.by
}
