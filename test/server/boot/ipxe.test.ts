// The iPXE scripts as literals, and hostile texts that must stay texts.

import t from 'tap'
import { kernelArgument } from '../../../server/boot/command-line.ts'
import { entryScript, ipxeScripts } from '../../../server/boot/ipxe.ts'
import { plainText } from '../../../server/boot/scripts.ts'
import type { Profile } from '../../../server/contract/document.ts'
import { hostileTexts, randomText } from '../../helpers/hostile.ts'
import { seeded } from '../../helpers/random.ts'
import { machineOf, profileOf } from './fixtures.ts'

const base = 'http://10.0.0.1:8080'
const { hold, install: installing, local } = ipxeScripts(base)

t.test('entry', async t => {
  t.equal(
    entryScript(base),
    `#!ipxe
:ask
chain --replace --autofree http://10.0.0.1:8080/boot/ipxe?mac=\${mac:hexhyp}&uuid=\${uuid}&serial=\${serial:uristring}&manufacturer=\${manufacturer:uristring}&product=\${product:uristring}&asset=\${asset:uristring}&arch=\${buildarch}&platform=\${platform} ||
echo Slipway: the server did not answer; asking again in 5 seconds
sleep 5
goto ask
`
  )
})

t.test('hold', async t => {
  t.equal(
    hold({ reason: 'waiting for approval', seconds: 14.6 }),
    `#!ipxe
:wait
echo Slipway: this machine waits: waiting for approval
echo Slipway: asking again in 15 seconds
sleep 15
chain --replace --autofree http://10.0.0.1:8080/boot/ipxe ||
goto wait
`
  )
})

t.test('local disk', async t => {
  const rows = [
    { platform: 'bios', lines: ['sanboot --no-describe --drive 0x80 || exit'] },
    { platform: 'uefi', lines: ['sanboot --no-describe --drive 0 || exit 1'] },
    {
      platform: null,
      lines: [
        'iseq ${platform} efi || goto bios',
        'sanboot --no-describe --drive 0 || exit 1',
        ':bios',
        'sanboot --no-describe --drive 0x80 || exit'
      ]
    }
  ] as const
  for (const { platform, lines } of rows) {
    const said = 'echo Slipway: booting from the local disk: the machine is ready'
    const text = local({ platform, arch: null, reason: 'the machine is ready' })
    t.equal(text, `${['#!ipxe', said, ...lines].join('\n')}\n`, String(platform))
  }
})

function install(profile: Profile): string {
  return installing({
    bootId: 'b-12345678',
    configUrl: `${base}/b/0123456789abcdef/config`,
    assetsUrl: `${base}/assets`,
    profile,
    machine: machineOf(),
    mac: '52:54:00:AB:cd:01'
  })
}

const ending = `boot || goto failed
:failed
echo Slipway: the installer could not be loaded; asking again in 10 seconds
imgfree
sleep 10
chain --replace --autofree http://10.0.0.1:8080/boot/ipxe || goto failed
`

t.test('install Fedora CoreOS', async t => {
  t.equal(
    install(profileOf('fedora-coreos', { os: { rootfs: 'rootfs.squashfs', kernelArguments: ['console=ttyS0'] } })),
    `#!ipxe
echo Slipway: r12n07 gets worker, boot b-12345678
imgfree
kernel http://10.0.0.1:8080/assets/fedora-coreos/43/vmlinuz initrd=initrd.img ip=dhcp rd.neednet=1 coreos.live.rootfs_url=http://10.0.0.1:8080/assets/fedora-coreos/43/rootfs.squashfs ignition.firstboot ignition.platform.id=metal coreos.inst.install_dev=/dev/vda coreos.inst.ignition_url=http://10.0.0.1:8080/b/0123456789abcdef/config console=ttyS0 || goto failed
initrd --name initrd.img http://10.0.0.1:8080/assets/fedora-coreos/43/initrd.img || goto failed
${ending}`
  )
})

t.test('install CentOS Stream', async t => {
  t.equal(
    install(profileOf('centos-stream')),
    `#!ipxe
echo Slipway: r12n07 gets worker, boot b-12345678
imgfree
kernel http://10.0.0.1:8080/assets/centos-stream/10/images/pxeboot/vmlinuz initrd=initrd.img ip=dhcp BOOTIF=01-52-54-00-ab-cd-01 inst.stage2=http://10.0.0.1:8080/assets/centos-stream/10 inst.repo=http://10.0.0.1:8080/assets/centos-stream/10 inst.ks=http://10.0.0.1:8080/b/0123456789abcdef/config inst.ks.sendmac inst.ks.sendsn inst.text inst.cmdline inst.nosave=all_ks || goto failed
initrd --name initrd.img http://10.0.0.1:8080/assets/centos-stream/10/images/pxeboot/initrd.img || goto failed
${ending}`
  )
})

t.test('a hostile text is shown and never acted upon', async t => {
  const seed = Date.now() % 1_000_000
  const random = seeded(seed)
  const texts = [...hostileTexts, ...Array.from({ length: 500 }, () => randomText(random))]
  const inert = /^[A-Za-z0-9 _.,:/@+=()?-]{0,160}$/
  const lines = hold({ reason: 'x', seconds: 1 }).split('\n').length
  for (const [index, text] of texts.entries()) {
    t.match(plainText(text), inert, `text ${index}, seed ${seed}`)
    t.equal(hold({ reason: text, seconds: 1 }).split('\n').length, lines, `lines of ${index}`)
    if (/[^!-~]|[${}"'\\|<>;#`()*!^]|^-|^$/.test(text))
      t.throws(() => kernelArgument(text), TypeError, `argument ${index}`)
  }
  t.equal(plainText('a && b || ${c}; d'), 'a ? b ? ?c?, d')
})

t.test('a URL that is more than one word is a bug of ours', async t => {
  for (const url of ['http://x/a b', 'http://x/${mac}', 'http://x/\nreboot', 'ftp://x/', 'http://x/|']) {
    t.throws(() => ipxeScripts(url).hold({ reason: '', seconds: 1 }), TypeError, JSON.stringify(url).slice(1, 12))
  }
  const long = Array.from({ length: 32 }, () => 'x'.repeat(255))
  t.throws(() => install(profileOf('centos-stream', { os: { kernelArguments: long } })), /too long/)
})
