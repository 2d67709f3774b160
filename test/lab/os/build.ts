// Builds what a blank machine of the lab is given, into .lab/os: "lab CoreOS" (kernel, live system, disk image), system
// extensions with Kubernetes, iPXE, and for the firmware tests a system that reports and powers off. Each part is a folder named after the hash of all that goes into it, so that
// what has not changed is not built again. Lab CoreOS is made of real parts (Debian 12, its kernel, systemd, Ignition,
// containerd) and honours Fedora CoreOS's kernel arguments; it is not Fedora CoreOS.
//
//   node test/lab/os/build.ts     builds all that is missing and prints where it is and how long it took

import { execFile } from 'node:child_process'
import { createHash, type Hash } from 'node:crypto'
import {
  copyFileSync,
  createReadStream,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync
} from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findTools, noTools } from '../../helpers/tools.ts'

const here = import.meta.dirname
const store = join(here, '..', '..', '..', '.lab', 'os')
const kubeboxes: ReadonlyArray<[version: string, file: string]> = [
  ['v1.35.4', 'kubebox-1.35'],
  ['v1.36.3', 'kubebox-1.36']
]

/** Folders with the built files. */
export interface LabImages {
  /** vmlinuz, initrd.img, rootfs.squashfs (live) and disk.raw.zst (what the installer writes). */
  readonly os: string
  /** kubernetes-<version>-x86_64.raw */
  readonly extensions: string
  /** undionly.kpxe, snponly.efi, ipxe.efi, ipxe-arm64.efi of 2025 */
  readonly boot: string
}

/** What the firmware tests need. */
export interface FirmwareImages {
  /** x86_64/ and arm64/ with vmlinuz, initrd.img, rootfs.img; signed/ with shim and GRUB; pxe-virtio.rom */
  readonly firmware: string
  readonly boot: string
}

/** What a machine needs besides the tools to build the images: for needs(). */
export const buildPrograms = [
  'mmdebstrap',
  'unshare',
  'mksquashfs',
  'busybox',
  'cpio',
  'zstd',
  'sgdisk',
  'mkfs.vfat',
  'mcopy',
  'mke2fs',
  'grub-mkimage',
  'depmod'
]
export const buildFiles = ['/usr/lib/grub/i386-pc/boot.img', '/usr/lib/grub/x86_64-efi/linux.mod']

/** The programs among them that the firmware tests' images need. */
export const firmwarePrograms = ['busybox', 'cpio', 'depmod']

/** Builds what is missing; seconds from nothing are in the README. Throws with the script's output when a part fails. */
export async function buildImages(): Promise<LabImages> {
  const tools = findTools()
  if (tools === null) throw new Error(noTools)
  const [os, extensions, boot] = await Promise.all([buildOs(tools), buildExtensions(tools), buildBoot()])
  return { os, extensions, boot }
}

/** Needs no Kubernetes programs, only Debian's packages. */
export async function buildFirmware(): Promise<FirmwareImages> {
  const scripts = ['firmware.sh', 'debian.sh', 'firmware/*']
  const firmware = build('firmware', scripts, [], folder => shell('firmware.sh', [folder], {}))
  const [done, boot] = await Promise.all([firmware, buildBoot()])
  return { firmware: done, boot }
}

function buildOs(tools: string): Promise<string> {
  const programs = ['containerd', 'containerd-shim-runc-v2', 'ctr', 'crictl', 'ignition'].map(name => join(tools, name))
  const scripts = ['rootfs.sh', 'pause.sh', 'initrd.sh', 'live.sh', 'disk.sh', 'init', 'grub.cfg', 'guest/**/*']
  return build('images', scripts, programs, async folder => {
    const root = join(folder, 'root')
    const run = (script: string, ...args: string[]): Promise<void> => shell(script, args, { TOOLS: tools })
    await run('rootfs.sh', root)
    await Promise.all([
      run('initrd.sh', root, join(folder, 'initrd.img'), 'live'),
      run('initrd.sh', root, join(root, 'boot', 'initrd.img'), 'disk')
    ])
    copyFileSync(join(root, 'boot', 'vmlinuz'), join(folder, 'vmlinuz'))
    await run('live.sh', root, join(folder, 'rootfs.squashfs'))
    await run('disk.sh', root, join(folder, 'disk.raw.zst'))
    rmSync(root, { recursive: true })
  })
}

function buildExtensions(tools: string): Promise<string> {
  const programs = kubeboxes.map(([, file]) => join(tools, file))
  return build('extensions', ['extension.sh', 'extension/*'], programs, async folder => {
    for (const [version, file] of kubeboxes) {
      const out = join(folder, `kubernetes-${version}-x86_64.raw`)
      await shell('extension.sh', [version, join(tools, file), out], {})
    }
  })
}

function buildBoot(): Promise<string> {
  return build('boot', ['ipxe.sh', 'debian.sh'], [], folder => shell('ipxe.sh', [folder], {}))
}

/** The folder <part>-<hash>, filled by `fill` if it is not there; older ones of that part go. */
async function build(
  part: string,
  scripts: readonly string[],
  programs: readonly string[],
  fill: (folder: string) => Promise<void>
): Promise<string> {
  const folder = join(store, `${part}-${await hash(scripts, programs)}`)
  if (existsSync(folder)) return folder
  const partial = join(store, `${part}.${process.pid}.partial`)
  mkdirSync(partial, { recursive: true })
  try {
    await fill(partial)
    for (const old of globSync(`${part}-*`, { cwd: store })) rmSync(join(store, old), { recursive: true })
    renameSync(partial, folder)
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
  return folder
}

async function hash(scripts: readonly string[], programs: readonly string[]): Promise<string> {
  const sum = createHash('sha256')
  for (const entry of globSync([...scripts], { cwd: here, withFileTypes: true }).toSorted(byPath)) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    sum.update(`${path.slice(here.length)}\n`).update(readFileSync(path))
  }
  for (const path of programs) await addFile(sum, path)
  return sum.digest('hex').slice(0, 16)
}

function byPath(a: { parentPath: string; name: string }, b: { parentPath: string; name: string }): number {
  return join(a.parentPath, a.name) < join(b.parentPath, b.name) ? -1 : 1
}

async function addFile(sum: Hash, path: string): Promise<void> {
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) sum.update(chunk as Buffer)
}

const SCRIPT_TIMEOUT_MS = 15 * 60_000
const SCRIPT_OUTPUT_MAX_BYTES = 16 * 1024 * 1024

async function shell(script: string, args: readonly string[], env: Record<string, string>): Promise<void> {
  await promisify(execFile)(join(here, script), args, {
    env: { ...process.env, ...env, LC_ALL: 'C', PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` },
    timeout: SCRIPT_TIMEOUT_MS,
    maxBuffer: SCRIPT_OUTPUT_MAX_BYTES
  })
}

if (import.meta.main) {
  const started = performance.now()
  const images = { ...(await buildFirmware()), ...(await buildImages()) }
  for (const [part, folder] of Object.entries(images)) process.stdout.write(`${part} ${folder}\n`)
  process.stdout.write(`${((performance.now() - started) / 1000).toFixed(1)} s\n`)
}
