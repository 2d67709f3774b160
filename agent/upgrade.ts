// The steps of an upgrade. Order and turns are in progress.ts and decide.ts; here is what each one does. All of them
// may be repeated. From `switch` on the machine is changed, and a failure leads through the -back steps.

import { annotation } from '../server/contract/names.ts'
import { KubeError } from '../server/kubeapi/errors.ts'
import type { KubeNode } from '../server/kubeapi/objects.ts'
import { Fault } from './fault.ts'
import { evictAll, podsToGo } from './kube/drain.ts'
import type { NodeApi } from './kube/node.ts'
import { findDoubt } from './kube/verify.ts'
import { kubeadmUpgradeApply, kubeadmUpgradeNode } from './kubeadm/kubeadm.ts'
import { mergeExtension } from './os/sysext.ts'
import { reloadUnits, restartUnit } from './os/systemd.ts'
import { paths } from './paths.ts'
import type { UpgradeStep } from './progress.ts'
import { type Action, done, type Outcome, wait, type Work } from './work.ts'

/** Written beside our cordon: an administrator's own is never lifted. */
export const cordonOwner = 'slipway-agent'

const slotPauseMs = 10_000
const drainPauseMs = 1_000
const drainPauseMaxMs = 30_000
const proofPauseMs = 1_000

export const upgradeActions: Record<Exclude<UpgradeStep, 'stage'>, Action> = {
  slot: async ({ server, own, step, signal }) => {
    const { granted, reason, command } = await server.askSlot(step.version, own, signal)
    return granted ? done(`granted for ${step.version}`, { command }) : wait(reason, slotPauseMs)
  },
  cordon: async work => done(await cordon(work)),
  evict,
  switch: async ({ files, run, step, signal }) => {
    await keepKubeletConfig(files)
    return done(await mergeExtension(files, run, step.version, signal))
  },
  configure: async ({ run, progress, step, signal }) => {
    if (progress.upgrade?.command === 'apply') await kubeadmUpgradeApply(run, step.version, signal)
    else await kubeadmUpgradeNode(run, signal)
    return done(progress.upgrade?.command === 'apply' ? 'kubeadm upgrade apply' : 'kubeadm upgrade node')
  },
  restart,
  verify,
  'switch-back': async ({ files, run, step, signal }) => {
    const message = await mergeExtension(files, run, step.version, signal)
    const kept = await files.read(paths.kubeletConfigBackup)
    if (kept !== null) await files.write(paths.kubeletConfig, kept, 0o644)
    return done(message)
  },
  'restart-back': restart,
  'verify-back': verify,
  uncordon: async work => done(await uncordon(work)),
  release: async ({ files, server, own, progress, signal }) => {
    await server.returnSlot(progress.upgrade?.turn ?? 'upgraded', own, signal)
    await files.remove(paths.kubeletConfigBackup)
    return done('the slot is given back')
  }
}

/**
 * Owner and cordon in one patch against the Node as read, so that an administrator's cordon in between is not taken
 * for ours.
 */
async function cordon({ api, signal }: Work): Promise<string> {
  const node = await needNode(api, signal)
  if (isOurs(node)) return 'cordoned'
  if (node.spec?.unschedulable === true) return 'somebody had cordoned it: it stays so afterwards'
  await api.patch(
    {
      metadata: { ...versionOf(node), annotations: { [annotation.cordonedBy]: cordonOwner } },
      spec: { unschedulable: true }
    },
    signal
  )
  return 'cordoned'
}

async function uncordon({ api, signal }: Work): Promise<string> {
  const node = await needNode(api, signal)
  if (!isOurs(node)) return node.spec?.unschedulable === true ? 'the cordon is not ours: it stays' : 'not cordoned'
  await api.patch(
    { metadata: { ...versionOf(node), annotations: { [annotation.cordonedBy]: null } }, spec: { unschedulable: null } },
    signal
  )
  return 'uncordoned'
}

function isOurs({ metadata }: KubeNode): boolean {
  return metadata.annotations?.[annotation.cordonedBy] === cordonOwner
}

function versionOf({ metadata: { resourceVersion } }: KubeNode): { resourceVersion?: string } {
  return resourceVersion === undefined ? {} : { resourceVersion }
}

/** One round: who is still here is asked to go. Whoever is gone is found missing from the next list. */
async function evict({ api, progress, now, signal }: Work): Promise<Outcome> {
  const pods = podsToGo(await api.pods(signal))
  if (pods.length === 0) return done('no pods are left to go')
  const { blockers, retryAfterSeconds } = await evictAll(api, pods, signal)
  const reason = blockers.length === 0 ? 'pods are ending' : blockers.slice(0, 3).join('; ')
  const asked = retryAfterSeconds === null ? 0 : retryAfterSeconds * 1000
  return wait(reason, Math.max(asked, blockers.length === 0 ? drainPauseMs : pauseAfter(progress.open?.since, now)))
}

/** A tenth of the time waited so far: quick at first, no hammering on a budget that holds for long. */
function pauseAfter(since: string | undefined, now: Date): number {
  const waitedMs = since === undefined ? 0 : now.getTime() - Date.parse(since)
  return Math.min(Math.max(waitedMs / 10, drainPauseMs), drainPauseMaxMs)
}

/** kubeadm upgrade rewrites it for the new version; going back needs the old one. */
async function keepKubeletConfig(files: Work['files']): Promise<void> {
  if ((await files.read(paths.kubeletConfigBackup)) !== null) return
  const text = await files.read(paths.kubeletConfig)
  if (text !== null) await files.write(paths.kubeletConfigBackup, text, 0o600)
}

async function restart({ run, signal }: Work): Promise<Outcome> {
  await reloadUnits(run, signal)
  await restartUnit(run, 'kubelet', signal)
  return done('the kubelet was restarted')
}

/**
 * Waits for proof; how long is decided by decide.ts. After a power cut the extension and the kubelet are put right
 * first.
 */
async function verify({ files, run, observer, api, facts, progress, step, signal }: Work): Promise<Outcome> {
  const { linked, installed, running } = facts.observed
  if (linked !== null && linked !== installed) await mergeExtension(files, run, linked, signal)
  if (running === null) await restartUnit(run, 'kubelet', signal)
  const doubt = findDoubt(
    {
      running: await observer.running(signal),
      ...(await evidenceOf(api, signal)),
      restartedAt: new Date(progress.upgrade?.restartedAt ?? 0)
    },
    step.version
  )
  return doubt === null ? done(`kubelet ${step.version} runs, is Ready and was seen`) : wait(doubt, proofPauseMs)
}

/** An API server that is away for a moment (this node may be the one that runs it) is a doubt, not a failure. */
async function evidenceOf(api: NodeApi, signal: AbortSignal) {
  try {
    return { node: await api.find(signal), leaseRenewedAt: await api.renewedAt(signal) }
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof KubeError && error.status < 500) throw error
    return { node: null, leaseRenewedAt: null }
  }
}

async function needNode(api: NodeApi, signal: AbortSignal): Promise<KubeNode> {
  const node = await api.find(signal)
  if (node === null) throw new Fault('the cluster has no Node of this name: restart the kubelet, it registers itself')
  return node
}
