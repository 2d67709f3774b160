// The GRUB scripts as literals; each passes grub-script-check, whatever text from hardware or an operator is in it, and
// what such a text must not do shows in the words that GRUB's own parser makes of the script.

import { spawnSync } from 'node:child_process'
import t from 'tap'
import { deviceOf, grubConfig, grubScripts } from '../../../server/boot/grub.ts'
import type { Profile } from '../../../server/contract/document.ts'
import { hostileTexts, randomText } from '../../helpers/hostile.ts'
import { seeded } from '../../helpers/random.ts'
import { needs } from '../../helpers/require.ts'
import { machineOf, profileOf } from './fixtures.ts'

const base = 'http://10.0.0.1:8080'
const device = '(http,10.0.0.1:8080)'
const scripts = grubScripts(device)

/** Without the filling up to one size, which is a comment. */
const plain = (text: string): string => text.replace(/#+\n$/, '')

function install(profile: Profile, from = scripts, name: string | null = 'r12n07'): string {
  return from.install({
    bootId: 'b-12345678',
    configUrl: `${base}/b/0123456789abcdef/config`,
    assetsUrl: `${base}/assets`,
    profile,
    machine: machineOf({ name }),
    mac: '52:54:00:AB:cd:01'
  })
}

t.test('hold', async t => {
  t.equal(
    plain(scripts.hold({ reason: 'waiting for approval', seconds: 14.6 })),
    `set slipway_answered=yes
echo 'Slipway: this machine waits: waiting for approval'
echo 'Slipway: asking again in 15 seconds'
sleep 15
`
  )
})

t.test('install', async t => {
  t.equal(
    plain(install(profileOf('fedora-coreos', { os: { kernelArguments: ['console=ttyS0'] } }))),
    `set slipway_answered=yes
echo 'Slipway: r12n07 gets worker, boot b-12345678'
if linux '(http,10.0.0.1:8080)/assets/fedora-coreos/43/vmlinuz' 'ip=dhcp' 'rd.neednet=1' 'coreos.live.rootfs_url=http://10.0.0.1:8080/assets/fedora-coreos/43/rootfs.img' 'ignition.firstboot' 'ignition.platform.id=metal' 'coreos.inst.install_dev=/dev/vda' 'coreos.inst.ignition_url=http://10.0.0.1:8080/b/0123456789abcdef/config' 'console=ttyS0'; then
  if initrd '(http,10.0.0.1:8080)/assets/fedora-coreos/43/initrd.img'; then
    boot
  fi
fi
echo 'Slipway: the installer could not be loaded, asking again in 10 seconds'
sleep 10
`
  )
  const byTftp = install(profileOf('centos-stream'), grubScripts('(tftp,10.0.0.1)'))
  t.match(byTftp, "if linux '(tftp,10.0.0.1)/assets/centos-stream/10/images/pxeboot/vmlinuz' 'ip=dhcp'")
  t.match(byTftp, "initrd '(tftp,10.0.0.1)/assets/centos-stream/10/images/pxeboot/initrd.img'")
  t.match(byTftp, "'inst.ks=http://10.0.0.1:8080/b/", 'what the installer loads comes by HTTP all the same')
  const long = profileOf('centos-stream', {
    os: { kernelArguments: Array.from({ length: 32 }, () => 'x'.repeat(255)) }
  })
  t.throws(() => install(long), /too long/)
})

t.test('local disk', async t => {
  const rows = [
    { platform: 'uefi', arch: 'x86_64', want: ['/EFI/fedora/shimx64.efi', '/EFI/BOOT/BOOTx64.efi', 'exit'] },
    { platform: 'uefi', arch: 'arm64', want: ['/EFI/centos/shimaa64.efi', '/EFI/BOOT/BOOTaa64.efi', 'exit'] },
    { platform: 'bios', arch: 'x86_64', want: ["set root='(hd0)'", 'chainloader +1', 'exit'] }
  ] as const
  for (const { platform, arch, want } of rows) {
    const text = scripts.local({ platform, arch, reason: 'the machine is ready' })
    t.match(text, "echo 'Slipway: booting from the local disk: the machine is ready'")
    for (const part of want) t.match(text, part, `${platform} ${arch}: ${part}`)
  }
})

t.test('devices', async t => {
  t.equal(deviceOf('https://slipway.example'), '(https,slipway.example)')
  for (const url of ['ftp://x', 'http://x/y', "http://x'y", 'http://[fd00::1]:8080', 'http://x:1:2']) {
    t.throws(() => deviceOf(url), TypeError, url)
  }
})

t.test('HEAD can say the size of what GET will decide: all are as long', async t => {
  const all = [
    grubConfig(base),
    scripts.hold({ reason: 'x'.repeat(4096), seconds: 1 }),
    install(profileOf('centos-stream'))
  ]
  for (const text of all) t.equal(Buffer.byteLength(text), 8192)
})

function check(text: string): { status: number | null; stderr: string } {
  return spawnSync('grub-script-check', [], { input: text, encoding: 'utf8' })
}

t.test('grub-script-check takes each', needs({ programs: ['grub-script-check'] }), async t => {
  t.not(check("echo 'open").status, 0, 'and refuses what is broken')
  const local = (['uefi', 'bios', null] as const).flatMap(platform =>
    (['x86_64', 'arm64', null] as const).map(arch => scripts.local({ platform, arch, reason: 'ready' }))
  )
  const all = [grubConfig(base), grubConfig('https://slipway.example'), ...local]
  for (const os of ['centos-stream', 'fedora-coreos'] as const) all.push(install(profileOf(os)))
  for (const text of all) t.same(check(text).stderr, '')
})

t.test('a hostile text is shown and never acted upon', needs({ programs: ['grub-script-check'] }), async t => {
  const seed = Date.now() % 1_000_000
  const random = seeded(seed)
  const texts = [...hostileTexts, ...Array.from({ length: 300 }, () => randomText(random))]
  const reference = commands(scripts.hold({ reason: 'x', seconds: 1 }))
  const installed = commands(install(profileOf('centos-stream'), scripts, 'x'))
  const all: string[] = []
  for (const [index, text] of texts.entries()) {
    const held = scripts.hold({ reason: text, seconds: 1 })
    t.same(commands(held), reference, `hold ${index}, seed ${seed}`)
    const named = install(profileOf('centos-stream'), scripts, text)
    t.same(commands(named), installed, `install ${index}, seed ${seed}`)
    all.push(held, named)
  }
  const { status, stderr } = check(all.join(''))
  t.equal(status, 0, `${stderr}seed ${seed}`)
})

/** The script as GRUB's lexer splits it, each quoted text after `echo` reduced to one word. */
function commands(text: string): string[] {
  return plain(text)
    .split('\n')
    .map(line => line.replace(/^echo '[^'$\\]*'$/, 'echo TEXT'))
}

t.test('the facts go into the question as GRUB can carry them', async t => {
  const text = grubConfig(base)
  t.match(text, 'mac=$net_default_mac&arch=$grub_cpu&platform=$grub_platform')
  t.match(text, "if [ -s '(http,10.0.0.1:8080)/boot/grub' ]; then set slipway_from='(http,10.0.0.1:8080)'; fi")
  t.notMatch(text, /configfile|insmod|linuxefi/)
})
