// What each step does, one function a step. Every one bears being repeated: it may have been cut off anywhere. A step
// that cannot be done yet waits and says for what; one that went wrong throws. The journal is kept by agent.ts.

import { ServerRefused } from './api.ts'
import { Fault } from './fault.ts'
import type { NodePatch } from './kube/node.ts'
import { enterCluster, forgetFiles } from './kubeadm/join.ts'
import { kubeadmReset } from './kubeadm/kubeadm.ts'
import { mergeExtension, stageExtension } from './os/sysext.ts'
import { startUnit, reloadUnits } from './os/systemd.ts'
import { paths } from './paths.ts'
import type { StepName } from './progress.ts'
import { upgradeActions } from './upgrade.ts'
import { type Action, done, type Outcome, wait, type Work } from './work.ts'

/** The rest is done where the journal is (agent.ts). */
export type ActionName = Exclude<StepName, 'enrol' | 'renew' | 'upgrade' | 'finish'>

export const actions: Record<ActionName, Action> = {
  ...upgradeActions,
  fetch: stage,
  stage,
  merge: async ({ files, run, step, signal }) => done(await mergeExtension(files, run, step.version, signal)),
  reset: async ({ files, run, signal }) => {
    await forgetFiles(files)
    await kubeadmReset(run, signal)
    return done('what a join that did not work had left is gone')
  },
  join,
  'hand-over': async ({ files, server, own, signal }) => {
    const kubeconfig = await files.read(paths.adminConf)
    if (kubeconfig === null) throw new Fault(`${paths.adminConf} is missing: kubeadm init did not end well`)
    await server.handOver(kubeconfig, own, signal)
    return done('the server can reach the cluster')
  },
  start: async ({ run, signal }) => {
    await reloadUnits(run, signal)
    await startUnit(run, 'kubelet', signal)
    return done('the kubelet is started')
  },
  label: async ({ api, patch, signal }) => {
    if (patch !== null) await api.patch(patch, signal)
    return done(describe(patch))
  }
}

async function stage({ files, server, download, own, step, signal }: Work): Promise<Outcome> {
  try {
    const extension = await server.extension(step.version, own, signal)
    if (extension.version !== step.version)
      throw new Fault(`the server offered ${extension.version} for ${step.version}`)
    return done(await stageExtension(files, download, extension, signal))
  } catch (error) {
    if (error instanceof ServerRefused && error.status === 404) return wait(error.message, 30_000)
    throw error
  }
}

/** Refusals that time may mend: the cluster is not there yet, or the server must first be asked by a person. */
const joinPauseMs = 5_000

async function join({ files, run, server, own, facts, note, signal }: Work): Promise<Outcome> {
  if (facts.observed.kubelet === 'joined') {
    await forgetFiles(files)
    await startUnit(run, 'kubelet', signal)
    return done('it is in the cluster')
  }
  try {
    const reply = await server.join(own, signal)
    await note({ step: 'join', edge: 'note', message: `kubeadm ${reply.action}`, data: { action: reply.action } })
    await enterCluster(files, run, reply, signal)
  } catch (error) {
    if (!(error instanceof ServerRefused) || ![409, 503].includes(error.status)) throw error
    return wait(error.message, error.retryAfterSeconds === null ? joinPauseMs : error.retryAfterSeconds * 1000)
  }
  // kubeadm starts the kubelet; that it starts at every boot is ours to see to.
  await startUnit(run, 'kubelet', signal)
  return done('in the cluster')
}

function describe(patch: NodePatch | null): string {
  const { labels = {}, annotations = {} } = patch?.metadata ?? {}
  const keys = [...Object.keys(labels), ...Object.keys(annotations)]
  return keys.length <= 4 ? keys.join(', ') : `${keys.slice(0, 3).join(', ')} and ${keys.length - 3} more`
}
