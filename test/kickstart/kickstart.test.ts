// Kickstart texts: golden, through the real ksvalidator, and their scripts through the real sh.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type KickstartInput, renderKickstart } from '../../kickstart/kickstart.ts'
import { commandWord, shellWord } from '../../kickstart/script.ts'
import { hostileTexts, randomText } from '../helpers/hostile.ts'
import { findKsvalidator } from '../helpers/pykickstart.ts'
import { seeded } from '../helpers/random.ts'

const agent = 'the agent\n'
const sha256 = createHash('sha256').update(agent).digest('hex')

const plain: KickstartInput = {
  hostname: 'r12n07',
  disk: '/dev/disk/by-id/nvme-XYZ',
  data: 'refuse',
  reportUrl: 'http://10.0.0.1:8080/b/0123456789abcdef0123456789abcdef/booted',
  kernelArguments: ['console=ttyS0,115200'],
  repositories: [{ name: 'slipway', url: 'http://10.0.0.1:8080/assets/centos-stream/10/packages' }],
  packages: ['@^minimal-environment', 'chrony'],
  users: [{ name: 'ops', groups: ['wheel'], sshAuthorizedKeys: ['ssh-ed25519 AAAA ops@desk'] }],
  directories: [{ path: '/etc/slipway', mode: 0o700 }],
  files: [
    { path: '/etc/slipway/boot.key', mode: 0o600, contents: 'key\n' },
    {
      path: '/usr/local/bin/slipway-agent',
      mode: 0o755,
      contents: { url: 'http://10.0.0.1:8080/agent/x86_64', sha256 }
    }
  ],
  units: [
    { name: 'slipway-agent.service', enabled: true, contents: '[Service]\n' },
    { name: 'systemd-sysext.service', enabled: true }
  ]
}

t.test('a whole text, as it is served', async t => {
  t.equal(
    renderKickstart(plain),
    `text
cmdline
lang C.UTF-8
keyboard us
timezone Etc/UTC --utc
rootpw --lock
firstboot --disable
eula --agreed
network --bootproto=dhcp --activate --hostname=r12n07
repo --name=slipway --baseurl=http://10.0.0.1:8080/assets/centos-stream/10/packages --install
selinux --permissive
firewall --disabled
user --name=ops --groups=wheel --lock
sshkey --username=ops "ssh-ed25519 AAAA ops@desk"
%include /tmp/slipway-disk.ks
reboot

%pre --erroronfail --log=/tmp/slipway-pre.log
set -eu
platform=bios
if [ -d "\${SLIPWAY_SYS:-/sys}/firmware/efi" ]; then platform=uefi; fi
arch=$(uname -m | sed s/aarch64/arm64/)
report="{\\"platform\\":\\"$platform\\",\\"arch\\":\\"$arch\\",\\"kernel\\":\\"$(uname -r)\\"}"
type='content-type: application/json'
if ! curl --fail --silent --show-error --max-time 10 --header "$type" --data "$report" http://10.0.0.1:8080/b/0123456789abcdef0123456789abcdef/booted; then
  echo "slipway: the start of this installation could not be reported; it goes on" >&2
fi
disk=/dev/disk/by-id/nvme-XYZ
if ! lsblk --nodeps "$disk" >/dev/null; then
  echo "slipway: this machine has no disk $disk; correct disks.install of its profile" >&2
  exit 1
fi
signatures=$(wipefs --noheadings --no-act "$disk")
devices=$(lsblk --noheadings --list --output NAME "$disk")
if [ -n "$signatures" ] || [ "$(echo "$devices" | wc -l)" -ne 1 ]; then
  echo "slipway: $disk holds data and is left as it is; to erase it: slipway install --wipe" >&2
  echo "$signatures" >&2
  exit 1
fi
cat > "\${SLIPWAY_TMP:-/tmp}/slipway-disk.ks" <<'EOF'
ignoredisk --only-use=/dev/disk/by-id/nvme-XYZ
zerombr
clearpart --all --initlabel --disklabel=gpt --drives=/dev/disk/by-id/nvme-XYZ
reqpart
part /boot --fstype=xfs --size=1024 --ondisk=/dev/disk/by-id/nvme-XYZ
part / --fstype=xfs --size=8192 --grow --ondisk=/dev/disk/by-id/nvme-XYZ
bootloader --leavebootorder --boot-drive=/dev/disk/by-id/nvme-XYZ --append=console=ttyS0,115200
EOF
%end

%packages
@^minimal-environment
chrony
%end

%post --nochroot --erroronfail --log=/mnt/sysroot/var/log/slipway-post.log
set -eu
umask 077
root="\${SLIPWAY_SYSROOT:-/mnt/sysroot}"
# folder PATH MODE
folder() {
  (umask 022 && mkdir -p "$root$1")
  chmod "$2" "$root$1"
}
# put PATH MODE: standard input is the file, in base64
put() {
  (umask 022 && mkdir -p "$root\${1%/*}")
  base64 -d > "$root$1.part"
  chmod "$2" "$root$1.part"
  mv "$root$1.part" "$root$1"
}
# fetch PATH MODE URL SHA256: nothing unverified ever gets the name PATH. By itself curl retries no refused or reset
# connection, which is what a server that is being restarted gives. Its pauses double: eight are four minutes.
fetch() {
  (umask 022 && mkdir -p "$root\${1%/*}")
  curl --fail --retry 8 --retry-all-errors --silent --show-error --output "$root$1.part" "$3"
  printf '%s  %s\\n' "$4" "$root$1.part" | sha256sum -c -
  chmod "$2" "$root$1.part"
  mv "$root$1.part" "$root$1"
}
folder /etc/slipway 0700
put /etc/slipway/boot.key 0600 <<'EOF'
a2V5Cg==
EOF
put /etc/systemd/system/slipway-agent.service 0644 <<'EOF'
W1NlcnZpY2VdCg==
EOF
fetch /usr/local/bin/slipway-agent 0755 http://10.0.0.1:8080/agent/x86_64 ${sha256}
systemctl --root="$root" enable slipway-agent.service systemd-sysext.service
%end
`
  )
})

t.test('a path that would leave the new root is refused', async t => {
  for (const path of ['/etc/../../x', 'etc/x', '//etc/x', '/etc/', '/etc/./x', '/']) {
    t.throws(() => renderKickstart({ ...plain, files: [{ path, mode: 0o644, contents: '' }] }), TypeError, path)
  }
})

const validator = findKsvalidator()
const validate = 'why' in validator ? { skip: validator.why } : {}

t.test('ksvalidator accepts the text for both systems', validate, async t => {
  if ('why' in validator) return
  const seed = Date.now() % 1_000_000
  const random = seeded(seed)
  const texts = [
    renderKickstart(plain),
    renderKickstart({ ...plain, data: 'erase', users: [], packages: [], files: [], units: [], repositories: [] }),
    renderKickstart(hostileInput(hostileTexts)),
    renderKickstart(hostileInput(Array.from({ length: 40 }, () => randomText(random))))
  ]
  const folder = t.testdir(Object.fromEntries(texts.map((text, index) => [`${index}.ks`, text])))
  for (const version of ['RHEL9', 'RHEL10']) {
    for (const index of texts.keys()) {
      const run = spawnSync(validator.program, ['-v', version, join(folder, `${index}.ks`)], { encoding: 'utf8' })
      const said = `${run.stdout}${run.stderr}`.replace(/^\s*Checking kickstart file .*$/m, '')
      t.equal(`${said.trim()} ${run.status}`, ' 0', `${version}, text ${index}, seed ${seed}`)
    }
  }
})

t.test('nothing foreign stands in the text as it came', async t => {
  const text = renderKickstart(hostileInput(hostileTexts))
  t.match(text, /^[\n -~]*$/)
  t.equal(text.match(/^%end/gm)?.length, 4 - 1)
})

t.test('sh reads back every word, byte by byte', async t => {
  const words = hostileTexts.filter(text => !text.includes('\0') && !text.endsWith('\n'))
  const script = words.map(word => `printf '%s\\0' ${shellWord(word)}`).join('\n')
  for (const shell of ['sh', 'bash']) {
    const { stdout } = spawnSync(shell, ['-s'], { input: script })
    const want = words.map(word => `${Buffer.from(word, 'utf8').toString('utf8')}\0`).join('')
    t.equal(stdout.toString('utf8'), want, shell)
  }
  t.throws(() => shellWord('a\n'), TypeError)
  t.throws(() => shellWord('a\0b'), TypeError)
  t.equal(commandWord('a "b" \\ \u2028c'), '"a _b_ _ _c"')
})

t.test('%post writes what it says, with its modes, and nothing else', async t => {
  const files = hostileTexts.map((contents, index) => ({ path: `/etc/many/${index} 'é$(x)`, mode: 0o640, contents }))
  const { run, root } = runPost(t, { ...plain, files: [...plain.files, ...files] })
  t.equal(run.status, 0, run.stderr)
  const stat = (path: string) => (statSync(join(root, path)).mode & 0o7777).toString(8)
  t.equal(stat('etc/slipway'), '700')
  t.equal(stat('etc/slipway/boot.key'), '600')
  t.equal(stat('etc/systemd/system'), '755')
  t.equal(stat('etc/systemd/system/slipway-agent.service'), '644')
  t.equal(stat('usr/local/bin/slipway-agent'), '755')
  t.equal(readFileSync(join(root, 'etc/slipway/boot.key'), 'utf8'), 'key\n')
  t.equal(readFileSync(join(root, 'usr/local/bin/slipway-agent'), 'utf8'), agent)
  t.equal(readdirSync(join(root, 'etc/many')).length, hostileTexts.length)
  for (const [index, { path, contents }] of files.entries()) {
    t.same(readFileSync(join(root, path)), Buffer.from(contents, 'utf8'), `hostile text ${index}`)
  }
  t.equal(
    readFileSync(join(root, 'calls'), 'utf8').replaceAll(root, 'ROOT'),
    `curl --fail --retry 8 --retry-all-errors --silent --show-error --output ROOT/usr/local/bin/slipway-agent.part http://10.0.0.1:8080/agent/x86_64
systemctl --root=ROOT enable slipway-agent.service systemd-sysext.service
`
  )
})

t.test('%post stops when the agent is not the one that was promised', async t => {
  const input = {
    ...plain,
    files: [{ path: '/bin/agent', mode: 0o755, contents: { url: 'http://x/y', sha256: '0'.repeat(64) } }]
  }
  const { run, root } = runPost(t, input)
  t.not(run.status, 0)
  t.throws(() => statSync(join(root, 'bin/agent')))
  t.notMatch(readFileSync(join(root, 'calls'), 'utf8'), 'systemctl')
})

t.test('%pre looks at the disk before anything is written to it', async t => {
  const rows = [
    { name: 'an empty disk', data: 'refuse', wipefs: ':', lsblk: 'echo sda', want: 0 },
    { name: 'a signature', data: 'refuse', wipefs: 'echo 0x1fe dos', lsblk: 'echo sda', want: 1 },
    { name: 'a partition', data: 'refuse', wipefs: ':', lsblk: 'echo sda; echo sda1', want: 1 },
    { name: 'a signature, erasing armed', data: 'erase', wipefs: 'echo 0x1fe dos', lsblk: 'echo sda', want: 0 },
    { name: 'a disk that is not there', data: 'erase', wipefs: ':', lsblk: 'exit 32', want: 1 },
    { name: 'a disk that cannot be read', data: 'refuse', wipefs: 'exit 1', lsblk: 'echo sda', want: 1 }
  ] as const
  for (const { name, data, wipefs, lsblk, want } of rows) {
    const folder = t.testdir({ tmp: {}, bin: {} })
    program(folder, 'curl', ':')
    program(folder, 'wipefs', wipefs)
    program(folder, 'lsblk', lsblk)
    const run = runScript(section(renderKickstart({ ...plain, data }), '%pre'), folder, {
      SLIPWAY_TMP: join(folder, 'tmp')
    })
    t.equal(run.status, want, name)
    t.equal(readdirSync(join(folder, 'tmp')).length, want === 0 ? 1 : 0, name)
  }
})

t.test('%pre says that the installer runs, and does not mind when nobody hears it', async t => {
  const rows = [
    { name: 'a BIOS machine', efi: false, machine: 'x86_64', curl: ':', want: '"platform":"bios","arch":"x86_64"' },
    { name: 'a UEFI machine', efi: true, machine: 'aarch64', curl: ':', want: '"platform":"uefi","arch":"arm64"' },
    { name: 'a server that is gone', efi: false, machine: 'x86_64', curl: 'exit 7', want: '"platform":"bios"' }
  ]
  for (const { name, efi, machine, curl, want } of rows) {
    const folder = t.testdir({ tmp: {}, bin: {}, sys: efi ? { firmware: { efi: {} } } : {} })
    program(folder, 'wipefs', ':')
    program(folder, 'lsblk', 'echo sda')
    program(folder, 'uname', `[ "$1" = -m ] && echo ${machine} || echo 6.1.0-1`)
    program(folder, 'curl', `printf '%s\n' "$@" >${folder}/sent; ${curl}`)
    const env = { SLIPWAY_TMP: join(folder, 'tmp'), SLIPWAY_SYS: join(folder, 'sys') }
    const run = runScript(section(renderKickstart(plain), '%pre'), folder, env)
    t.equal(run.status, 0, name)
    const sent = readFileSync(join(folder, 'sent'), 'utf8').split('\n')
    const body = sent[sent.indexOf('--data') + 1]!
    t.match(body, want, name)
    t.equal(JSON.parse(body).kernel, '6.1.0-1')
    t.equal(sent.at(-2), plain.reportUrl)
    t.equal(run.stderr.includes('could not be reported'), curl !== ':')
  }
  t.notMatch(renderKickstart({ ...plain, reportUrl: null }), 'curl --fail --silent --show-error --max-time')
})

/** Every text field of the input, with its share of the texts. */
function hostileInput(texts: readonly string[]): KickstartInput {
  const paths = texts.map(text => `/etc/x${text.replaceAll(/[/\0]|\n$/g, '_').slice(0, 200)}y`)
  return {
    ...plain,
    hostname: `h${texts[3]}`,
    disk: `/dev/x${texts[5]?.replaceAll(/[/\0]|\n$/g, '_')}y`,
    users: texts.map((text, index) => ({ name: `u${index}`, groups: [], sshAuthorizedKeys: [`ssh-rsa AAAA ${text}`] })),
    files: paths.map((path, index) => ({ path: `${path}${index}`, mode: 0o600, contents: texts[index]! })),
    units: texts.map((contents, index) => ({ name: `u${index}.service`, enabled: index % 2 === 0, contents }))
  }
}

function runPost(t: Test, input: KickstartInput) {
  const folder = t.testdir({ bin: {}, root: {} })
  const root = join(folder, 'root')
  program(folder, 'curl', `echo curl "$@" >> ${root}/calls; printf '${agent.replace('\n', '\\n')}' > "$8"`)
  program(folder, 'systemctl', `echo systemctl "$@" >> ${root}/calls`)
  return { run: runScript(section(renderKickstart(input), '%post'), folder, { SLIPWAY_SYSROOT: root }), root }
}

function runScript(script: string, folder: string, env: Record<string, string>) {
  writeFileSync(join(folder, 'script'), script)
  const options = { env: { PATH: `${folder}/bin:${process.env.PATH}`, ...env }, encoding: 'utf8' } as const
  return spawnSync('sh', [join(folder, 'script')], options)
}

function program(folder: string, name: string, text: string): void {
  mkdirSync(join(folder, 'bin'), { recursive: true })
  const path = join(folder, 'bin', name)
  writeFileSync(path, `#!/bin/sh\n${text}\n`)
  chmodSync(path, 0o755)
}

/** The script of one section, as an installer takes it out. */
function section(text: string, name: string): string {
  const [, rest = ''] = text.split(new RegExp(`^${name}.*\n`, 'm'))
  return rest.split('\n%end', 1)[0]!
}
