// The small iPXE runs scripts as the real one would: rows of a script, what it led to and what stood on the console.
// The scripts of our own boot server are among them.

import t from 'tap'
import { entryScript, ipxeScripts } from '../../server/boot/ipxe.ts'
import { type Outcome, runIpxe } from './rack/ipxe.ts'
import { expand } from './rack/ipxe-text.ts'

interface Row {
  name: string
  scripts: Record<string, string>
  /** What sanboot finds. */
  disk?: string
  want: Outcome
  console?: string[]
}

const base = 'http://127.0.0.1:8080'
const settings = {
  mac: '52:54:00:77:00:01',
  uuid: 'u-1',
  serial: 'S "1" && reboot',
  asset: '${reboot}',
  buildarch: 'x86_64',
  platform: 'efi'
}

const rows: Row[] = [
  {
    name: 'kernel, initrd, boot',
    scripts: { '/': 'kernel vmlinuz a=b c\ninitrd --name i /x/initrd\nboot', '/vmlinuz': 'k', '/x/initrd': 'i' },
    want: { kind: 'boot', kernel: `${base}/vmlinuz`, arguments: ['a=b', 'c'], initrds: [`${base}/x/initrd`] }
  },
  {
    name: 'a failed command ends the script',
    scripts: { '/': 'kernel nothing\necho not reached' },
    want: { kind: 'failed', reason: `${base}/nothing: 404` },
    console: []
  },
  {
    name: '|| catches it and leads to a label',
    scripts: { '/': 'kernel nothing || goto failed\necho not reached\n:failed\necho caught\nexit 1' },
    want: { kind: 'exit', status: 1 },
    console: ['caught']
  },
  {
    name: 'a trailing || forgives',
    scripts: { '/': 'chain nothing ||\necho went on' },
    want: { kind: 'exit', status: 0 },
    console: ['went on']
  },
  {
    name: '&& that is not met leaves out one command, and a trailing || forgives',
    scripts: { '/': 'iseq ${platform} pcbios && goto bios ||\necho uefi\nexit\n:bios\necho bios' },
    want: { kind: 'exit', status: 0 },
    console: ['uefi']
  },
  {
    name: 'chain with facts in the query, escaped',
    scripts: {
      '/': 'chain --replace --autofree /s?mac=${mac:hexhyp}&serial=${serial:uristring}&arch=${buildarch}',
      '/s?mac=52-54-00-77-00-01&serial=S%20%221%22%20%26%26%20reboot&arch=x86_64':
        'echo found\nsanboot --drive 0x80 || exit'
    },
    disk: '0x80',
    want: { kind: 'disk', drive: '0x80' },
    console: ['found']
  },
  {
    name: 'sanboot without a disk that boots goes on',
    scripts: { '/': 'sanboot --no-describe --drive 0 || exit 1' },
    want: { kind: 'exit', status: 1 }
  },
  {
    name: 'exit in a chained script comes back to the one before',
    scripts: { '/': 'chain inner ||\necho back', '/inner': 'exit 1' },
    want: { kind: 'exit', status: 0 },
    console: ['back']
  },
  {
    name: 'HTML is no script',
    scripts: { '/': 'chain page', '/page': '<html>' },
    want: { kind: 'failed', reason: `${base}/page: exec format error` }
  },
  {
    name: 'a label loop without sleep is stopped',
    scripts: { '/': ':again\ngoto again' },
    want: { kind: 'failed', reason: 'the script never comes to an end' }
  },
  {
    name: 'a value stays one word, whatever it holds',
    scripts: { '/': 'echo ${serial} ${asset}\nexit 2' },
    want: { kind: 'exit', status: 2 },
    console: ['S "1" && reboot ']
  },
  {
    name: 'our entry script asks with all it knows, and our local script boots the disk',
    scripts: {
      '/': entryScript(base),
      ['/boot/ipxe?mac=52-54-00-77-00-01&uuid=u-1&serial=S%20%221%22%20%26%26%20reboot' +
      '&manufacturer=&product=&asset=%24%7Breboot%7D&arch=x86_64&platform=efi']: ipxeScripts(base).local({
        platform: null,
        arch: null,
        reason: 'it is installed; ${exit} && reboot'
      })
    },
    disk: '0',
    want: { kind: 'disk', drive: '0' },
    console: ['Slipway: booting from the local disk: it is installed, ?exit? ? reboot']
  },
  {
    name: 'our hold script asks again',
    scripts: {
      '/': ipxeScripts(base).hold({ reason: 'waiting for approval', seconds: 5 }),
      '/boot/ipxe': 'exit 3'
    },
    want: { kind: 'exit', status: 3 },
    console: ['Slipway: this machine waits: waiting for approval', 'Slipway: asking again in 5 seconds']
  }
]

t.test('scripts', async t => {
  for (const { name, scripts, disk = 'none', want, console: lines } of rows) {
    const shown: string[] = []
    const outcome = await runIpxe(`${base}/`, {
      settings,
      bootable: drive => drive === disk,
      fetch: async url => {
        const text = scripts[url.slice(base.length)]
        if (text === undefined) return { ok: false, reason: '404' }
        const raw = /^(k|i|<html>|#!ipxe[^]*)$/.test(text)
        return { ok: true, body: Buffer.from(raw ? text : `#!ipxe\n${text}\n`) }
      },
      sleep: async () => {},
      console: line => shown.push(line)
    })
    t.same(outcome, want, name)
    if (lines !== undefined) t.same(shown, lines, `${name}: console`)
  }
})

t.test('settings are expanded innermost first, and what came out again', async t => {
  const values: Record<string, string> = { a: '${b}', b: 'x', xx: 'found', self: '${self}' }
  const find = (name: string) => values[name] ?? null
  t.equal(expand('${a}', find), 'x')
  t.equal(expand('${x${b}}', find), 'found')
  t.equal(expand('${none}}', find), '}')
  t.equal(expand('}{', find), '}{')
  t.equal(expand('${self}', find), '${self}', 'a setting that names itself does not hang the lab')
})
