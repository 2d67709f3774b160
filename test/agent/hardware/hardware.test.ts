import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { createHardware, readSnapshot } from '../../../agent/hardware/files.ts'
import { labelsOf, labelValue } from '../../../agent/hardware/labels.ts'
import type { Snapshot } from '../../../agent/hardware/snapshot.ts'
import { parseOsRelease } from '../../../agent/hardware/system.ts'

/** A machine about which nothing is known. */
const blank: Snapshot = {
  cpuinfo: '',
  cpus: [],
  kernelRelease: null,
  kernelConfig: [],
  selinux: null,
  osRelease: '',
  meminfo: '',
  swaps: '',
  numaNodes: 0,
  nonVolatile: [],
  nets: [],
  pci: [],
  usb: [],
  disks: [],
  parameters: {},
  biosVersion: null,
  tpmMajor: null,
  secureBoot: null,
  dimms: null
}
const nfd = (names: Record<string, string>) =>
  Object.fromEntries(Object.entries(names).map(([name, value]) => [`feature.node.kubernetes.io/${name}`, value]))
const own = (names: Record<string, string>) =>
  Object.fromEntries(Object.entries(names).map(([name, value]) => [`hw.slipway.dev/${name}`, value]))

const disk = { rotational: '0', removable: '0', physical: true }
const net = { name: 'e', physical: true, speed: null, sriovTotal: null, sriovConfigured: null }

const rows: Array<[name: string, given: Partial<Snapshot>, want: Record<string, string>]> = [
  ['nothing is known', {}, {}],
  [
    'an Intel processor',
    { cpuinfo: 'processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: X\n' },
    nfd({ 'cpu-model.vendor_id': 'Intel', 'cpu-model.family': '6', 'cpu-model.id': '143' })
  ],
  [
    'an Arm processor',
    { cpuinfo: 'processor\t: 0\nCPU implementer\t: 0xc0\n' },
    nfd({ 'cpu-model.vendor_id': 'Ampere' })
  ],
  [
    'threads share cores, two sockets',
    {
      cpus: [
        { siblings: '0,2', socket: '0' },
        { siblings: '1,3', socket: '1' }
      ]
    },
    { ...nfd({ 'cpu-hardware_multithreading': 'true' }), ...own({ 'cpu-sockets': '2', 'cpu-threads': '2' }) }
  ],
  [
    'memory encryption',
    { parameters: { 'kvm_amd/sev': 'Y', 'kvm_amd/sev_es': '1', 'kvm_amd/sev_snp': 'N' } },
    nfd({ 'cpu-security.sev.enabled': 'true', 'cpu-security.sev.es.enabled': 'true' })
  ],
  [
    'a kernel of CentOS',
    { kernelRelease: '5.14.0-570.el9.x86_64' },
    nfd({
      'kernel-version.full': '5.14.0-570.el9.x86_64',
      'kernel-version.major': '5',
      'kernel-version.minor': '14',
      'kernel-version.revision': '0'
    })
  ],
  ['a kernel of nobody', { kernelRelease: '6+odd build' }, nfd({ 'kernel-version.full': '6_odd_build' })],
  [
    'kernel options',
    { kernelConfig: ['CONFIG_NO_HZ=y', 'CONFIG_PREEMPT=m'] },
    nfd({ 'kernel-config.NO_HZ': 'true', 'kernel-config.PREEMPT': 'true' })
  ],
  ['SELinux enforces', { selinux: '1' }, nfd({ 'kernel-selinux.enabled': 'true' })],
  ['SELinux only talks', { selinux: '0' }, {}],
  [
    'two NUMA nodes, swap, persistent memory',
    { numaNodes: 2, swaps: 'Filename Type\n/dev/sda2 partition\n', nonVolatile: [{ devtype: 'nd_dax' }] },
    nfd({ 'memory-numa': 'true', 'memory-swap': 'true', 'memory-nv.present': 'true', 'memory-nv.dax': 'true' })
  ],
  ['no swap', { numaNodes: 1, swaps: 'Filename Type\n' }, {}],
  [
    'CentOS Stream',
    { osRelease: 'ID="centos"\nVERSION_ID="9"\n' },
    nfd({
      'system-os_release.ID': 'centos',
      'system-os_release.VERSION_ID': '9',
      'system-os_release.VERSION_ID.major': '9'
    })
  ],
  [
    'Fedora CoreOS',
    { osRelease: "ID=fedora\nVERSION_ID=43\nVARIANT_ID=coreos\nOSTREE_VERSION='43.1'\n" },
    {
      ...nfd({
        'system-os_release.ID': 'fedora',
        'system-os_release.VERSION_ID': '43',
        'system-os_release.VERSION_ID.major': '43'
      }),
      ...own({ 'os-variant': 'coreos', 'ostree-version': '43.1' })
    }
  ],
  [
    'a GPU that shares, and a bridge',
    {
      pci: [
        { class: '0x030200', vendor: '0x10de', sriovTotal: '16' },
        { class: '0x060400', vendor: '0x8086', sriovTotal: null }
      ]
    },
    nfd({ 'pci-0302_10de.present': 'true', 'pci-0302_10de.sriov.capable': 'true' })
  ],
  [
    'a GPU with no virtual functions',
    { pci: [{ class: '0x120000', vendor: '0x1002', sriovTotal: '0' }] },
    nfd({ 'pci-1200_1002.present': 'true' })
  ],
  [
    'USB by device and by interface',
    {
      usb: [
        { class: 'ff', vendor: '1d6b', product: '0001', interfaceClasses: [] },
        { class: '00', vendor: '046d', product: '0825', interfaceClasses: ['0e', '01'] },
        { class: 'ff', vendor: '../x', product: '0001', interfaceClasses: [] }
      ]
    },
    nfd({ 'usb-ff_1d6b_0001.present': 'true', 'usb-0e_046d_0825.present': 'true' })
  ],
  [
    'network cards',
    {
      nets: [
        { ...net, speed: '25000', sriovTotal: '8', sriovConfigured: '2' },
        { ...net, speed: '-1' },
        { ...net, physical: false, speed: '99000' }
      ]
    },
    {
      ...nfd({ 'network-sriov.capable': 'true', 'network-sriov.configured': 'true' }),
      ...own({ 'nic-speed-max': '25g' })
    }
  ],
  ['a slow card', { nets: [{ ...net, speed: '100' }] }, own({ 'nic-speed-max': '100m' })],
  [
    'disks of all kinds',
    {
      disks: [
        { ...disk, name: 'nvme0n1' },
        { ...disk, name: 'sda' },
        { ...disk, name: 'sdb', rotational: '1' },
        { ...disk, name: 'sdc', removable: '1' },
        { ...disk, name: 'sr0' },
        { ...disk, name: 'zram0', physical: false }
      ]
    },
    {
      ...nfd({ 'storage-nonrotationaldisk': 'true' }),
      ...own({ 'nvme-count': '1', 'ssd-count': '1', 'hdd-count': '1' })
    }
  ],
  [
    'only what is no disk',
    {
      disks: [
        { ...disk, name: 'loop0', physical: false },
        { ...disk, name: 'sr0' }
      ]
    },
    {}
  ],
  [
    'memory, firmware, modules',
    {
      meminfo: 'MemTotal:       65551360 kB\n',
      biosVersion: '2.1 (beta)',
      tpmMajor: '2',
      secureBoot: 1,
      dimms: [
        { type: 'DDR5', ecc: true },
        { type: 'DDR5', ecc: true }
      ]
    },
    own({
      'memory-total-gib': '63',
      'bios-version': '2.1__beta',
      tpm: '2.0',
      'secure-boot': 'true',
      'dimm-count': '2',
      'dimm-ecc': 'true'
    })
  ]
]

for (const [name, given, want] of rows) {
  t.test(name, async t => t.same(labelsOf({ ...blank, ...given }), want))
}

const values: Array<[text: string, value: string]> = [
  ['a b', 'a_b'],
  ['-x-', 'x'],
  ['x'.repeat(70), 'x'.repeat(63)],
  [`${'x'.repeat(62)}..`, 'x'.repeat(62)],
  ['ü', ''],
  ['$(reboot)\n', 'reboot']
]
for (const [text, value] of values)
  t.test(`label value ${JSON.stringify(text)}`, async t => t.equal(labelValue(text), value))

t.test('os-release is read, not run', async t =>
  t.same(parseOsRelease('# c\nID="a$(x)"\nBAD\nNAME=\'b c\'\nVERSION=\n'), { ID: 'a$(x)', NAME: 'b c', VERSION: '' })
)

t.test('a hostile bus does not fill the Node', async t => {
  const usb = Array.from({ length: 900 }, (_, i) => ({
    class: 'ff',
    vendor: '1d6b',
    product: i.toString(16).padStart(4, '0'),
    interfaceClasses: []
  }))
  t.equal(Object.keys(labelsOf({ ...blank, usb })).length, 150)
})

t.test('the snapshot of a folder', async t => {
  const root = t.testdir()
  const put = (path: string, content: string | Buffer) => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), content)
  }
  put('proc/sys/kernel/osrelease', '6.12.0\n')
  put('proc/config.gz', gzipSync('# x\nCONFIG_NO_HZ=y\nCONFIG_OTHER=y\n'))
  put('proc/meminfo', 'MemTotal:  1048576 kB\n')
  put('sys/devices/system/cpu/cpu0/topology/thread_siblings_list', '0\n')
  put('sys/devices/system/cpu/cpu0/topology/physical_package_id', '0\n')
  put('sys/devices/system/cpu/cpufreq/x', '')
  put('sys/devices/pci/net/eth0/speed', '10000\n')
  put('sys/devices/pci/sriov_totalvfs', '4\n')
  mkdirSync(join(root, 'sys/class/net'), { recursive: true })
  symlinkSync('../../devices/pci/net/eth0', join(root, 'sys/class/net/eth0'))
  symlinkSync('../..', join(root, 'sys/devices/pci/net/eth0/device'))
  put('sys/bus/usb/devices/1-2/bDeviceClass', '00\n')
  put('sys/bus/usb/devices/1-2/idVendor', '046d\n')
  put('sys/bus/usb/devices/1-2/idProduct', '0825\n')
  put('sys/bus/usb/devices/1-2:1.0/bInterfaceClass', '0e\n')
  put('sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c', Buffer.from([6, 0, 0, 0, 1]))
  t.match(await readSnapshot(root), {
    kernelRelease: '6.12.0',
    kernelConfig: ['CONFIG_NO_HZ=y'],
    cpus: [{ siblings: '0', socket: '0' }],
    nets: [{ name: 'eth0', physical: true, speed: '10000', sriovTotal: '4', sriovConfigured: null }],
    usb: [{ class: '00', interfaceClasses: ['0e'] }],
    secureBoot: 1,
    dimms: null
  })
  t.match(await createHardware(root, () => t.fail())(), {
    'feature.node.kubernetes.io/network-sriov.capable': 'true',
    'hw.slipway.dev/nic-speed-max': '10g',
    'hw.slipway.dev/memory-total-gib': '1'
  })
  t.same(await createHardware(join(root, 'none'), () => t.fail())(), {})
})
