// Features of PCI, USB, network and storage devices, named as the Node Feature Discovery does (source/pci, usb,
// network, storage). Two of its mistakes are not repeated: a device with 0 virtual functions is not capable of them,
// and a loop, zram or optical device is no disk.

import { type Features, flag, present } from './features.ts'
import type { Disk, PciDevice, Snapshot, UsbDevice } from './snapshot.ts'

/** Display, co-processors, accelerators: the classes labelled by default. */
const pciClasses = /^(03|0b40|12)/
/** Video, miscellaneous, application specific, vendor specific. */
const usbClasses = new Set(['0e', 'ef', 'fe', 'ff'])

export function deviceFeatures({ pci, usb, nets, disks }: Snapshot): Features {
  return present({
    ...Object.assign({}, ...pci.map(pciFeatures)),
    ...Object.assign({}, ...usb.map(usbFeatures)),
    'network-sriov.capable': flag(nets.some(({ sriovTotal }) => Number(sriovTotal) > 0)),
    'network-sriov.configured': flag(nets.some(({ sriovConfigured }) => Number(sriovConfigured) > 0)),
    'storage-nonrotationaldisk': flag(disks.some(disk => isDisk(disk) && disk.rotational === '0'))
  })
}

function pciFeatures({ class: code, vendor, sriovTotal }: PciDevice): Features {
  const kind = /^0x([0-9a-f]{4})/i.exec(code ?? '')?.[1]?.toLowerCase()
  const maker = /^0x([0-9a-f]{4})$/i.exec(vendor ?? '')?.[1]?.toLowerCase()
  if (kind === undefined || maker === undefined || !pciClasses.test(kind)) return {}
  const name = `pci-${kind}_${maker}`
  return { [`${name}.present`]: 'true', ...(Number(sriovTotal) > 0 && { [`${name}.sriov.capable`]: 'true' }) }
}

/** Class 00 says: see the interfaces. */
function usbFeatures({ class: code, vendor, product, interfaceClasses }: UsbDevice): Features {
  if (!isHex(vendor) || !isHex(product)) return {}
  const classes = code === '00' ? interfaceClasses : [code ?? '']
  const known = classes.map(name => name.toLowerCase()).filter(name => usbClasses.has(name))
  return Object.fromEntries(known.map(name => [`usb-${name}_${vendor}_${product}.present`, 'true']))
}

function isHex(text: string | null): boolean {
  return /^[0-9a-f]{4}$/.test(text ?? '')
}

/** A fixed disk, and neither a partition table's relative nor what a person may pull out. */
export function isDisk({ name, physical, removable }: Disk): boolean {
  return physical && removable === '0' && !/^(loop|zram|ram|dm-|md|nbd|sr|fd)/.test(name)
}
