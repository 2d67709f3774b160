// The DISCOVER by which other DHCP servers are found: of a machine that does not exist, whose address says what it is
// (02 and then "slipw"), with the firmware's options so that boot servers answer as well. It never sends a REQUEST, so
// nothing is leased to it.

import { messageType, NO_ADDRESS, type Packet } from '../codec/packet.ts'

/** Locally administered; the same for every Slipway, so that another server keeps one address for it at most. */
export const PROBE_MAC = '02:73:6c:69:70:77'

const UEFI_X86_64 = 7
/** Subnet mask, router, DNS, domain, lease, server, vendor class, TFTP server, boot file. */
const WANTED = [1, 3, 6, 15, 51, 54, 60, 66, 67]

/** `transaction` tells our own probes from those of another Slipway server, which would be a rival too. */
export function probeMessage(transaction: number): Packet {
  return {
    op: 'request',
    hops: 0,
    transaction,
    seconds: 0,
    broadcast: true,
    clientAddress: NO_ADDRESS,
    yourAddress: NO_ADDRESS,
    nextServer: NO_ADDRESS,
    relay: NO_ADDRESS,
    mac: PROBE_MAC,
    serverName: '',
    bootFile: '',
    options: {
      messageType: messageType.discover,
      hostname: 'slipway-probe',
      parameterList: WANTED,
      vendorClass: 'PXEClient:Arch:00007:UNDI:003000',
      clientArch: [UEFI_X86_64],
      clientInterface: Buffer.of(1, 3, 0)
    }
  }
}
