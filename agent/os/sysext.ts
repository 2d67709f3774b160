// Kubernetes as a systemd system extension: an image is staged beside the others, one link says which is in force, and
// systemd-sysext lays it over /usr without a reboot. Going back is the old link. systemd-sysext ends with 0 and leaves
// out an image that it does not like, so what counts is the kubelet that is in /usr afterwards.

import type { Extension } from '../../server/contract/agent.ts'
import { Fault } from '../fault.ts'
import { BadDownload, type Files } from '../files.ts'
import { paths } from '../paths.ts'
import { type Run, tail } from '../run.ts'
import { enableUnit, reloadUnits } from './systemd.ts'

export type Download = (url: string, signal: AbortSignal) => AsyncIterable<Buffer>

const refreshTimeoutMs = 120_000
/** The first start after a merge reads 100 MB from a compressed image; emulated, that took 14 s. */
const versionTimeoutMs = 60_000

/** Versions whose image is on the machine. A name is given only to what was verified. */
export async function listStaged(files: Files): Promise<readonly string[]> {
  const names = await files.list(paths.extensions)
  return names.flatMap(name => /^kubernetes-(v1\.\d+\.\d+)\.raw$/.exec(name)?.[1] ?? [])
}

/** Fetches the image unless it is there; removes those of versions that are neither wanted nor in force. */
export async function stageExtension(
  files: Files,
  download: Download,
  extension: Extension,
  signal: AbortSignal
): Promise<string> {
  const path = paths.extension(extension.version)
  await dropOthers(files, extension.version)
  if (await files.matches(path, extension)) return `${extension.version} was there already`
  try {
    await files.save(path, download(extension.url, signal), extension)
  } catch (error) {
    if (error instanceof BadDownload) throw new Fault(`${extension.url} is refused: ${error.message}`)
    throw error
  }
  return `${extension.version}, ${Math.round(extension.size / 1e6)} MB, verified`
}

/** Each image is a hundred megabytes: only the one in force stays beside the new one. */
async function dropOthers(files: Files, wanted: string): Promise<void> {
  const linked = await findLinked(files)
  for (const version of await listStaged(files)) {
    if (version !== wanted && version !== linked) await files.remove(paths.extension(version))
  }
}

/** The version that the link points to; null without a link of ours. */
export async function findLinked(files: Files): Promise<string | null> {
  const target = await files.readLink(paths.extensionLink)
  return /kubernetes-(v1\.\d+\.\d+)\.raw$/.exec(target ?? '')?.[1] ?? null
}

/** Puts `version` in force, now and at every boot, and looks whether it is. */
export async function mergeExtension(files: Files, run: Run, version: string, signal: AbortSignal): Promise<string> {
  await files.link(paths.extensionLink, paths.extensionTarget(version))
  // Where both are built into the kernel modprobe fails, and nothing is missing: the refresh below tells.
  await run('modprobe', ['-a', 'loop', 'squashfs'], { timeoutMs: 20_000, signal })
  const ran = await run('systemd-sysext', ['refresh'], { timeoutMs: refreshTimeoutMs, signal })
  const installed = await findInstalled(files, run, signal)
  if (ran.exitCode !== 0 || installed !== version) {
    const status = await run('systemd-sysext', ['status'], { timeoutMs: 20_000, signal })
    throw new Fault(
      `systemd-sysext refresh left kubelet ${installed ?? 'absent'} in /usr, not ${version}: ` +
        tail(`${ran.stderr}\n${status.stdout}`)
    )
  }
  await reloadUnits(run, signal)
  // Not started now: its ExecStart= is `merge` before systemd 254, which fails on what is merged.
  await enableUnit(run, 'systemd-sysext.service', signal)
  return `kubelet ${version} is in /usr`
}

/** The kubelet that the next start would run; null when there is none. */
export async function findInstalled(files: Files, run: Run, signal: AbortSignal): Promise<string | null> {
  return kubeletVersion(run, files.real(paths.kubelet), signal)
}

/** The kubelet that runs as process `pid`, whatever lies on the disk by now. */
export async function findRunning(files: Files, run: Run, pid: number, signal: AbortSignal): Promise<string | null> {
  return kubeletVersion(run, files.real(paths.process(pid)), signal)
}

async function kubeletVersion(run: Run, program: string, signal: AbortSignal): Promise<string | null> {
  const ran = await run(program, ['--version'], { timeoutMs: versionTimeoutMs, signal, name: 'kubelet' })
  return /^Kubernetes (v\d+\.\d+\.\d+)/m.exec(ran.stdout)?.[1] ?? null
}
